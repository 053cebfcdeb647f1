"""Positions of sliding windows, which inference covers a volume with and training crops may keep to."""


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Return the first positions of the windows that cover `length`; the last one ends at its end.

    Args:
        length: Positions to cover.
        window: Positions of a window.
        overlap: Of neighbouring windows, as a fraction of a window.
    """
    step = max(1, int(window * (1 - overlap)))
    return [*range(0, length - window, step), max(length - window, 0)]


def imaged_starts(planes: int, depth: int, ratio: int, overlap: float) -> list[int]:
    """Return the first imaged planes of the windows in z, which are placed in units of imaged planes.

    Args:
        planes: Planes of the volume on the dense grid.
        depth: Planes of a window on the dense grid.
        ratio: Sparsity ratio r.
        overlap: Of neighbouring windows, as a fraction of a window.
    """
    block = depth // ratio
    return window_starts(max(-(-planes // ratio), block), block, overlap)
