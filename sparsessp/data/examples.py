"""Crops of a few test volumes, stored for the figures.

The first test volume of each structure is shown. No score influences the choice.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sparsessp.data.samples import Sample
from sparsessp.errors import SparseSSPError
from sparsessp.structures import in_order
from sparsessp.support.files import atomic_write, raise_system_error

SIDE = 128  # largest number of rows and columns, around the centre
# Structures of Figure 5: three whose quality section 4.4.1 reports as preserved, and a thin one whose quality drops.
STRUCTURES_SHOWN = ("nucleolus", "microtubule", "nuclear_envelope", "actomyosin_bundle")
_RUNS = re.compile(r"repmode-3d-prefix-r1|tgnet-(3to2d|3d)-prefix-r\d")  # in Figures 5 and 6

Examples = dict[str, np.ndarray]


def has_examples(experiment: str) -> bool:
    """Return whether a figure shows predictions of this run."""
    return _RUNS.fullmatch(experiment) is not None


def structures_shown(structures: Collection[str]) -> tuple[str, ...]:
    """Return the structures of a dataset that Figures 5 and 6 show: the paper's, otherwise the first four."""
    return tuple(key for key in STRUCTURES_SHOWN if key in structures) or in_order(structures)[: len(STRUCTURES_SHOWN)]


def first_volumes(samples: Iterable[Sample], structures: Sequence[str] | None = None) -> dict[str, Sample]:
    """Return the first sample of each structure (of `structures`, if given) by the name of its volume."""
    first: dict[str, Sample] = {}
    for sample in samples:
        first.setdefault(sample.structure, sample)
    return {s.volume: s for key, s in first.items() if structures is None or key in structures}


def centre(stack_DHW: np.ndarray) -> np.ndarray:
    """Return the central rows and columns of all planes of a stack, as float16."""
    corners = [max(n - SIDE, 0) // 2 for n in stack_DHW.shape[1:]]
    rows, columns = (slice(corner, corner + SIDE) for corner in corners)
    return np.asarray(stack_DHW[:, rows, columns], np.float16)


def write_examples(path: Path, stacks: Mapping[str, np.ndarray]) -> None:
    """Write named stacks atomically; equal stacks give equal bytes."""
    with atomic_write(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **stacks)


def read_examples(path: Path) -> Examples:
    """Read the file that `write_examples` writes; return an empty dictionary if it is missing.

    Raises:
        SparseSSPError: The file is broken or has another format.
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name].astype(np.float32) for name in archive.files}
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise_system_error(error, path)
        raise SparseSSPError(f"{path}: not a readable archive of stacks ({error})") from None
