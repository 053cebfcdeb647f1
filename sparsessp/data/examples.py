"""Voxels of a few test volumes, kept for the figures: which, how much of them, and their files.

The choice follows the split, never a score: the first test volume of each structure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sparsessp.data.samples import Sample
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import atomic_write

SIDE = 128  # rows and columns at most, about the middle
# Structures of Figure 5: three that section 4.4.1 says keep their quality, and a slender one that does not.
STRUCTURES_SHOWN = ("nucleolus", "microtubule", "nuclear_envelope", "actomyosin_bundle")
_RUNS_SHOWN = re.compile(r"repmode-3d-prefix-r1|tgnet-(3to2d|3d)-prefix-r\d")  # of Figures 5 and 6

Examples = dict[str, np.ndarray]


def shown(experiment: str) -> bool:
    """Whether a figure shows predictions of this run."""
    return _RUNS_SHOWN.fullmatch(experiment) is not None


def first_volumes(samples: Iterable[Sample], structures: Sequence[str] | None = None) -> dict[str, Sample]:
    """The first sample of each structure, of the given structures if any are given, by the name of its volume."""
    first: dict[str, Sample] = {}
    for sample in samples:
        first.setdefault(sample.structure, sample)
    return {s.volume: s for key, s in first.items() if structures is None or key in structures}


def centre(stack_DHW: np.ndarray) -> np.ndarray:
    """All planes of the middle of a stack, float16."""
    corners = [max(n - SIDE, 0) // 2 for n in stack_DHW.shape[1:]]
    rows, columns = (slice(corner, corner + SIDE) for corner in corners)
    return np.asarray(stack_DHW[:, rows, columns], np.float16)


def write_examples(path: Path, stacks: Mapping[str, np.ndarray]) -> None:
    """Write stacks by name atomically; equal stacks give equal bytes."""
    with atomic_write(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **stacks)


def read_examples(path: Path) -> Examples:
    """Read what `write_examples` wrote; nothing if there is no file.

    Raises:
        SparseSSPError: The file is not such an archive.
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name].astype(np.float32) for name in archive.files}
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise SparseSSPError(f"{path}: not a readable archive of stacks ({error})") from None
