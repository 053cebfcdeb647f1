"""Edges of a voxel as files give them, in any unit of length, or without one."""

import math
import re
import unicodedata

from sparsessp.errors import SparseSSPError

Edges = tuple[float | None, float | None, float | None]
"""Size (z, y, x) of a voxel in micrometres; None for an edge that the file does not give."""

_METRE = {
    "femto": ("f", 1e-9),
    "pico": ("p", 1e-6),
    "nano": ("n", 1e-3),
    "micro": ("u", 1.0),
    "milli": ("m", 1e3),
    "centi": ("c", 1e4),
    "deci": ("d", 1e5),
    "": ("", 1e6),
    "kilo": ("k", 1e9),
}
_SYMBOLS = {f"{symbol}m": um for symbol, um in _METRE.values()} | {"u": 1.0, "å": 1e-4, "Å": 1e-4, '"': 25_400.0}
_WORDS = (
    {f"{prefix}met{ending}": um for prefix, (_, um) in _METRE.items() for ending in ("er", "ers", "re", "res")}
    | dict.fromkeys(("micron", "microns"), 1.0)
    | dict.fromkeys(("angstrom", "angstroms", "ångström", "ångströms", "ångstrom", "ångstroms"), 1e-4)
    | dict.fromkeys(("in", "inch", "inches"), 25_400.0)
    | dict.fromkeys(("thou", "mil"), 25.4)
)
_ALLOWED = "µm (um, micron), nm, pm, Å, mm, cm, m, inch, and names such as nanometer"


def micrometres(unit: str) -> float | None:
    """Return the micrometres in one `unit`, such as 0.001 for nm; None if the unit is unknown.

    All spellings of the micro sign are accepted, also the escape sequence that ImageJ writes.
    """
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), unit.strip())
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")  # such as a byte order mark
    text = unicodedata.normalize("NFKC", text).replace("\N{GREEK SMALL LETTER MU}", "u").strip()
    return _SYMBOLS.get(text, _WORDS.get(text.casefold()))


def edge_um(size: str | float | None, unit: str, name: str, source: str) -> float | None:
    """Return one edge of a voxel in micrometres; None if the file does not give it.

    Args:
        size: Edge as written. None, 0 and NaN mean that it is unknown.
        unit: Unit as written.
        name: Name of the edge in the file's metadata, for errors.
        source: Name of the image, for errors.

    Raises:
        SparseSSPError: The size is not a positive number, or the unit is unknown.
    """
    if size is None:
        return None
    try:
        value = float(size)
    except ValueError:
        value = -1.0
    if math.isnan(value) or value == 0:
        return None
    if not 0 < value < math.inf:
        raise SparseSSPError(f"{source}: {name} = {size!r}; allowed: positive numbers")
    factor = micrometres(unit)
    if factor is None:
        raise SparseSSPError(f"{source}: {name} is in the unknown unit {unit!r}; allowed: {_ALLOWED}")
    return value * factor
