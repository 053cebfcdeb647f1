"""Image lists: which channels of which image show what.

A list is a CSV file per set, one row an image, with RepMode's columns. What a row names is taken
from the row, never from the set: the order of the channels differs within one set.
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
    """One image and the channels of it that some row wants.

    Attributes:
        set: The set whose archive holds it.
        number: Its row in that set's list, counted from 1.
        path_czi: Its identity, the exact text in the lists.
        channels: Number of each wanted channel, counted from 0, by name: the transmitted light, then
            structures.
    """

    set: str
    number: int
    path_czi: str
    channels: dict[str, int]

    @property
    def file(self) -> str:
        """Its name in the archive, without folders."""
        return base_name(self.path_czi)

    @property
    def row(self) -> str:
        """What to call it in an error: list, row and path."""
        return _row(self.set, self.number, self.path_czi)


def read_list(path: Path) -> pd.DataFrame:
    """Read an image list; every value is kept as the text it is.

    Raises:
        SparseSSPError: The file is missing, unreadable, without rows, or lacks a column.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the image list is missing")
    try:
        # The header is read as a row, or pandas would rename columns that have no name.
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors, and text that is not UTF-8
        raise SparseSSPError(f"{path}: not a readable CSV file ({' '.join(str(error).split())})") from None
    header = table.iloc[0].tolist()
    for column in (PATH, LIGHT, TARGET):
        if header.count(column) != 1:
            raise SparseSSPError(f"{path}: column {column!r} is needed once; found: {', '.join(header)}")
    if len(table) == 1:
        raise SparseSSPError(f"{path}: the image list has no rows")
    return table[1:].set_axis(header, axis=1).reset_index(drop=True)


def read_lists(folder: Path) -> dict[str, pd.DataFrame]:
    """Read all image lists of a folder, `SET.csv` each; no list if there is no such folder."""
    return {path.stem: read_list(path) for path in sorted(folder.glob("*.csv"))}


def faults(lists: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say what is wrong with the rows of the lists, each fault in a line that names list, row and value.

    Args:
        lists: Lists as read, by set.

    Returns:
        The faults; none if the lists can be used.
    """
    found = [f"list {name!r}: unknown set; allowed: {', '.join(SETS)}" for name in lists if name not in SETS]
    own: dict[str, tuple[str, str]] = {}  # path -> the row that names it and its light channel
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
                found.append(f"{row}: {PATH} names no file")
            elif path in paths:
                found.append(f"{row}: the image is listed twice")
            elif name != DNA and path in own:
                found.append(f"{row}: the image stands in {own[path][0]} too; only {DNA} may share it")
            elif name != DNA and base_name(path) in files:
                found.append(f"{row}: another image of this list has the same file name; its archive tells them by it")
            if name == DNA and path in own and _channel(light) != _channel(own[path][1]):
                found.append(f"{row}: {LIGHT} = {light}, but {own[path][0]} has {own[path][1]}")
            paths.add(path)
            files.add(base_name(path))
            if name != DNA:
                own.setdefault(path, (f"{name}.csv, row {number}", light))
    return found


def rows_by_image(lists: Mapping[str, pd.DataFrame]) -> dict[str, Image]:
    """Gather what the rows want of each image: its own set's structure, and DNA if a row of `dna` names it.

    Rows of `dna` whose image is in no list here are passed over.

    Args:
        lists: Lists without faults, by set.

    Returns:
        Image by `path_czi`, set after set in alphabetical order, in the order of its list.
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
    """Path, light channel and target channel of each row, as text."""
    return list(zip(table[PATH], table[LIGHT], table[TARGET], strict=True))


def _channel(text: str) -> int | None:
    """Return the number of a channel, or None if the text is none; 6.0 is 6, as spreadsheets write it."""
    match = _CHANNEL.fullmatch(text)
    return int(match[1]) if match else None
