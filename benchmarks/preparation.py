"""Preparation of one channel of a full-size image, compared with `scipy.ndimage.zoom` of the z-scored volume.

Example:
  python -m benchmarks.preparation
"""

from time import perf_counter

import numpy as np
from scipy import ndimage

from sparsessp.data.allencell.catalogue import FIELD
from sparsessp.data.allencell.preparation import prepare
from sparsessp.data.volumes import zscore

_ZOOM = 0.37241


def row() -> dict[str, str | float]:
    """Time both on the same volume: the fastest of three runs, ours with its resampling matrices cached.

    Returns:
        `name`, `unit`, `ours`, `straightforward`, `ratio` (straightforward / ours), and `difference`, the largest
        absolute difference of the results.
    """
    stack = np.random.default_rng(0).poisson(300, FIELD).astype(np.uint16)
    ours = prepare(stack, (_ZOOM, _ZOOM), "benchmark")[0]
    theirs = _straightforward(stack)
    seconds = _fastest(lambda: prepare(stack, (_ZOOM, _ZOOM), "benchmark"))
    zoomed = _fastest(lambda: _straightforward(stack))
    return {
        "name": f"prepare {' x '.join(map(str, FIELD))}",
        "unit": "s",
        "ours": seconds,
        "straightforward": zoomed,
        "ratio": zoomed / seconds,
        "difference": float(np.abs(ours - theirs).max()),
    }


def _straightforward(stack: np.ndarray) -> np.ndarray:
    return ndimage.zoom(zscore(stack, "benchmark")[0], (1, _ZOOM, _ZOOM), order=3, mode="nearest")


def _fastest(function) -> float:
    times = []
    for _ in range(3):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    found = row()
    print(f"{found['name']}: {found['ours']:.2f} s, {found['ratio']:.1f} times faster than scipy.ndimage.zoom")
    print(f"largest difference {found['difference']:.1e}")
