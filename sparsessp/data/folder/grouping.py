"""Groups of images that must be in the same part of the split."""

from collections.abc import Sequence
from pathlib import Path

from sparsessp.data.folder.table import Row


def groups(rows: Sequence[Row], folder: Path) -> list[str]:
    """Return the name of each row's group.

    Rows with the same group, and rows with the same image, are in one group, directly or through other rows. Without
    a column group, each image is a group.

    Args:
        rows: Lines of the CSV file.
        folder: Folder to which the paths of the images are relative.
    """
    parent: dict[object, object] = {}

    def root(item: object) -> object:
        while parent.setdefault(item, item) != item:
            item = parent[item]
        return item

    images = [(folder / row.image).resolve() for row in rows]
    labels = [row.group or image for row, image in zip(rows, images, strict=True)]
    for image, label in zip(images, labels, strict=True):
        parent[root(image)] = root(label)
    names: dict[object, str] = {}
    for row, image in zip(rows, images, strict=True):
        names.setdefault(root(image), row.group or row.image)
    return [names[root(image)] for image in images]
