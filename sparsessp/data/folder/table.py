"""The CSV file that lists a user's training images, one line per image and labelled structure."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsessp.data.images.image import Spacing
from sparsessp.data.splits import PARTS
from sparsessp.errors import SparseSSPError
from sparsessp.schema import VOXEL_COLUMNS
from sparsessp.structures import OWN_NAME, OWN_NAME_ALLOWED, key_of
from sparsessp.support.files import raise_system_error

REQUIRED = ("image", "fluorescence", "structure")
OPTIONAL = ("transmitted_light", "split", "group", *VOXEL_COLUMNS, "scene", "axes")
COLUMNS = (*REQUIRED, *OPTIONAL)
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
# Rows of tables, the other channel of a prepared volume, and words that a CSV file does not keep as text.
_RESERVED = ("all", "structure_mean", "delta_imp_percent", "transmitted_light", "true", "false", "inf", "infinity")


@dataclass(frozen=True)
class Row:
    """One line of the CSV file; an optional value that is not given is None.

    Attributes:
        line: Number of the line in the file, counted from 1.
        image: Path as written.
        fluorescence: Name or index of the channel with the labelled structure.
        structure: Key of the structure.
        transmitted_light: Name or index of the transmitted-light channel.
        split: Part of the split.
        group: Name of the group, which is in one part only.
        voxel_um: Voxel size (z, y, x) in micrometres, which replaces that of the image file.
        scene: Index of the scene.
        axes: Names of a TIFF file's axes.
    """

    line: int
    image: str
    fluorescence: str
    structure: str
    transmitted_light: str | None = None
    split: str | None = None
    group: str | None = None
    voxel_um: Spacing = (None, None, None)
    scene: int | None = None
    axes: str | None = None


class Faults:
    """Everything that is wrong with a CSV file and its images, collected so that all of it is reported at once."""

    def __init__(self, path: Path):
        self.path = path
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, what: str) -> None:
        """Add a fault of a line; 0: of the whole file."""
        self._found.append((line, what))

    def add_value(self, line: int, column: str, value: object, problem: str) -> None:
        """Add a fault of a value."""
        self.add(line, f"{column} = {value!r}: {problem}")

    def check(self) -> None:
        """Raise all faults as one error.

        Raises:
            SparseSSPError: There are faults; the message has one line for each, in the order of the file.
        """
        if self._found:
            lines = [f"line {line}, {text}" if line else text for line, text in sorted(self._found, key=_line)]
            count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
            raise SparseSSPError("\n".join([f"{self.path}: {count}, so no image was prepared:", *lines]))


def _line(fault: tuple[int, str]) -> int:
    return fault[0]


def read_rows(path: Path, faults: Faults) -> list[Row]:
    """Return the lines of the CSV file whose images can be looked for; all faults are added to `faults`.

    Raises:
        SparseSSPError: The file is missing, is not CSV, has no rows, or a column is missing, unknown or listed twice.
    """
    lines = _read_lines(path)
    if not lines:
        raise SparseSSPError(f"{path}: the file is empty; expected a header with {', '.join(REQUIRED)}")
    header = [name.strip() for name in lines[0][1]]
    _check_header(path, header)
    if len(lines) == 1:
        raise SparseSSPError(f"{path}: the table has no rows; add one line per image and structure")
    rows = []
    for number, values in lines[1:]:
        if len(values) != len(header):
            faults.add(number, f"{len(values)} values, but the header has {len(header)} columns")
        elif row := _row(number, dict(zip(header, map(str.strip, values), strict=True)), faults):
            rows.append(row)
    _check_spelling(rows, faults)
    return rows


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank, with their numbers."""
    if not path.is_file():
        raise SparseSSPError(f"{path}: the file is missing")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            return [(reader.line_num, values) for values in reader if any(map(str.strip, values))]
    except OSError as error:
        raise_system_error(error, path)
        raise SparseSSPError(f"{path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise SparseSSPError(f"{path}: not a CSV file in UTF-8 ({error})") from None


def _check_header(path: Path, header: Sequence[str]) -> None:
    problems = [f"column {name!r} is listed twice" for name in dict.fromkeys(header) if header.count(name) > 1]
    problems += [f"column {name!r} is unknown" for name in dict.fromkeys(header) if name not in COLUMNS]
    problems += [f"column {name!r} is missing" for name in REQUIRED if name not in header]
    if len(header) == 1 and ";" in header[0]:
        problems = ["its columns are separated by semicolons; separate them with commas"]
    if problems:
        raise SparseSSPError(
            f"{path}: line 1, {'; '.join(problems)}; needed: {', '.join(REQUIRED)}; allowed: {', '.join(OPTIONAL)}"
        )


def _row(line: int, texts: dict[str, str], faults: Faults) -> Row | None:
    """Return a line's values, or None if one that is needed is missing or not allowed."""
    given = {name: text for name, text in texts.items() if text.casefold() not in _MISSING}
    usable = True
    for name in REQUIRED:
        if name not in given:
            faults.add_value(line, name, texts[name], f"a value is needed in every line; needed: {', '.join(REQUIRED)}")
            usable = False
    structure = key_of(given.get("structure", ""))
    if "structure" in given and (not OWN_NAME.fullmatch(structure) or structure.casefold() in _RESERVED):
        allowed = f"{OWN_NAME_ALLOWED}; not {', '.join(_RESERVED)}"
        faults.add_value(line, "structure", given["structure"], f"allowed: {allowed}")
        usable = False
    if given.get("split", PARTS[0]) not in PARTS:
        faults.add_value(line, "split", given["split"], f"allowed: {', '.join(PARTS)}")
    edges = [_edge(line, name, given, faults) for name in VOXEL_COLUMNS]
    scene = given.get("scene")
    if scene is not None and not (scene.isascii() and scene.isdigit()):
        faults.add_value(line, "scene", scene, "allowed: 0, 1, 2, ...")
        usable = False
    if not usable:
        return None
    return Row(
        line,
        given["image"],
        given["fluorescence"],
        structure,
        given.get("transmitted_light"),
        given.get("split"),
        given.get("group"),
        (edges[0], edges[1], edges[2]),
        None if scene is None else int(scene),
        given.get("axes"),
    )


def _edge(line: int, column: str, given: dict[str, str], faults: Faults) -> float | None:
    """Return one edge of a voxel."""
    if column not in given:
        return None
    try:
        value = float(given[column])
    except ValueError:
        value = math.nan
    if 0 < value < math.inf:
        return value
    faults.add_value(line, column, given[column], "allowed: micrometres above 0")
    return None


def _check_spelling(rows: Sequence[Row], faults: Faults) -> None:
    first: dict[str, Row] = {}
    for row in rows:
        other = first.setdefault(re.sub(r"[ ._-]", "", row.structure).casefold(), row)
        if other.structure != row.structure:
            same = f"line {other.line} spells it {other.structure!r}; spell each structure in one way"
            faults.add_value(row.line, "structure", row.structure, same)
