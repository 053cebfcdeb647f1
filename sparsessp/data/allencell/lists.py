"""Image lists: which channel of which image shows which structure.

A list is a CSV file per set with one row per image and RepMode's columns. Channels are always taken from the
row, because their order differs within a set.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sparsessp.data.allencell.catalogue import DNA, SETS
from sparsessp.data.splits import base_name
from sparsessp.data.volumes import TRANSMITTED_LIGHT
from sparsessp.errors import SparseSSPError

PATH, LIGHT, TARGET = "path_czi", "channel_signal", "channel_target"
_CHANNEL = re.compile(r"([0-9]{1,6})(\.0*)?")


@dataclass(frozen=True)
class Image:
    """One image and the channels of it that the lists name.

    Attributes:
        set: Set whose archive contains the image.
        number: Row in the set's list, counted from 1.
        path_czi: Exact text in the lists, which identifies the image.
        channels: Index of each channel, counted from 0, by name: transmitted light first, then structures.
    """

    set: str
    number: int
    path_czi: str
    channels: dict[str, int]

    @property
    def file(self) -> str:
        """File name in the archive, without folders."""
        return base_name(self.path_czi)

    @property
    def row(self) -> str:
        """Name of the image in errors: list, row and path."""
        return _row(self.set, self.number, self.path_czi)


def read_list(path: Path) -> pd.DataFrame:
    """Read an image list; every value stays text.

    Raises:
        SparseSSPError: The file is missing or unreadable, has no rows, or lacks a column.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the image list is missing")
    try:
        # The header is read as a row, because pandas would rename columns without a name.
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    except ValueError as error:  # errors of pandas, and text that is not UTF-8
        raise SparseSSPError(f"{path}: not a readable CSV file ({' '.join(str(error).split())})") from None
    header = table.iloc[0].tolist()
    for column in (PATH, LIGHT, TARGET):
        if header.count(column) != 1:
            raise SparseSSPError(f"{path}: column {column!r} must occur once; found: {', '.join(header)}")
    if len(table) == 1:
        raise SparseSSPError(f"{path}: the image list has no rows")
    return table[1:].set_axis(header, axis=1).reset_index(drop=True)


def read_lists(folder: Path) -> dict[str, pd.DataFrame]:
    """Read all image lists `SET.csv` of a folder; empty if the folder does not exist."""
    return {path.stem: read_list(path) for path in sorted(folder.glob("*.csv"))}


def faults(lists: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the faults in the rows of the lists, one line each, which names list, row and value.

    Args:
        lists: Lists by set, as read.
    """
    found = [f"list {name!r}: unknown set; allowed: {', '.join(SETS)}" for name in lists if name not in SETS]
    own: dict[str, tuple[str, str]] = {}  # path -> row that names it, and its light channel
    for name in sorted(lists, key=lambda name: (name == DNA, name)):
        paths: set[str] = set()
        files: set[str] = set()
        for number, (path, light, target) in enumerate(_rows(lists[name]), 1):
            row = _row(name, number, path)
            for column, text in ((LIGHT, light), (TARGET, target)):
                if _channel(text) is None:
                    found.append(f"{row}: {column} = {text!r}; allowed: whole numbers from 0")
            if _channel(light) is not None and _channel(light) == _channel(target):
                found.append(f"{row}: {LIGHT} and {TARGET} are both {light}; they must differ")
            if base_name(path) in ("", ".", ".."):
                found.append(f"{row}: {PATH} does not name a file")
            elif path in paths:
                found.append(f"{row}: the image is listed twice")
            elif name != DNA and path in own:
                found.append(f"{row}: the image is also in {own[path][0]}; only {DNA} may share images")
            elif name != DNA and base_name(path) in files:
                found.append(
                    f"{row}: another image of this list has the same file name, which must be unique in its archive"
                )
            if name == DNA and path in own and _channel(light) != _channel(own[path][1]):
                found.append(f"{row}: {LIGHT} = {light}, but {own[path][0]} has {own[path][1]}")
            paths.add(path)
            files.add(base_name(path))
            if name != DNA:
                own.setdefault(path, (f"{name}.csv, row {number}", light))
    return found


def rows_by_image(lists: Mapping[str, pd.DataFrame]) -> dict[str, Image]:
    """Return the images of the lists by `path_czi`, with the channels of their own structure and of DNA.

    DNA is included if a row of `dna` names the image; rows of `dna` whose image is in no other list are ignored.

    Args:
        lists: Lists without faults, by set.

    Returns:
        Images, sets in alphabetical order and rows in the order of the list.
    """
    dna = {path: _channel(target) for path, _, target in _rows(lists[DNA])} if DNA in lists else {}
    images = {}
    for name in sorted(lists.keys() - {DNA}):
        for number, (path, light, target) in enumerate(_rows(lists[name]), 1):
            channels = {TRANSMITTED_LIGHT: _channel(light), SETS[name]: _channel(target)}
            channels |= {SETS[DNA]: dna[path]} if path in dna else {}
            images[path] = Image(name, number, path, channels)
    return images


def _row(name: str, number: int, path: str) -> str:
    return f"{name}.csv, row {number}, {path!r}"


def _rows(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return path, light channel and target channel of each row as text."""
    return list(zip(table[PATH], table[LIGHT], table[TARGET], strict=True))


def _channel(text: str) -> int | None:
    """Return the channel that the text names, or None; 6.0 is 6, because spreadsheets write it so."""
    match = _CHANNEL.fullmatch(text)
    return int(match[1]) if match else None
