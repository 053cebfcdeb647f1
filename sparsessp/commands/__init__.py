"""Subcommands of `sparsessp`, one module each.

A module has `add(commands)`, which adds its parser and sets `run`. It imports torch and other slow packages only when
it runs, so that --help answers at once.
"""

import argparse
import math

from sparsessp.errors import SparseSSPError

Subparsers = argparse._SubParsersAction


def add_command(commands: Subparsers, name: str, help_text: str, description: str | None) -> argparse.ArgumentParser:
    """Add the parser of one command."""
    return commands.add_parser(
        name,
        help=help_text,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def keys(text: str | None) -> tuple[str, ...] | None:
    """Return the keys in a text such as "dna,nucleolus"; None for None."""
    return tuple(filter(None, text.split(","))) if text is not None else None


def voxel_size(text: str | None) -> tuple[float | None, float | None, float | None]:
    """Return the voxel size in a text such as "0.58,0.29,0.29", or "0.58" for z alone.

    Raises:
        SparseSSPError: The text is neither.
    """
    if text is None:
        return None, None, None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3) or not all(0 < value < math.inf for value in values):
        raise SparseSSPError(f"--spacing {text!r} is not allowed; allowed: Z,Y,X or Z, in micrometres above 0")
    return (values[0], None, None) if len(values) == 1 else (values[0], values[1], values[2])
