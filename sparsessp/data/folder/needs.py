"""What the networks need of a user's images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """Sizes and structures that training needs.

    Attributes:
        depth: Planes of a training crop.
        patch: Rows and columns of a training crop.
        pixel_um: Size of a pixel to which rows and columns are resampled; None: the largest of the images.
        structures: Structures to keep; None: all in the CSV file.
    """

    depth: int
    patch: int
    pixel_um: float | None = None
    structures: tuple[str, ...] | None = None
