"""Groups of images that must be in the same part of the split."""

from collections.abc import Sequence

from sparsessp.data.folder.table import Row


def groups(rows: Sequence[Row]) -> list[str]:
    """Return the name of each row's group.

    Rows with the same group, and rows with the same image, are in one group, directly or through other rows. Without
    a column group, each image is a group.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    images = [f"image {row.image}" for row in rows]
    labels = [f"group {row.group}" if row.group else image for row, image in zip(rows, images, strict=True)]
    for image, label in zip(images, labels, strict=True):
        parent[root(image)] = root(label)
    return [root(label).split(" ", 1)[1] for label in labels]
