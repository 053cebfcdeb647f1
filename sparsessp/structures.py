"""Structures: the paper's twelve, in the order of its Table 7 (section 4.1), and those that users name themselves.

The key of a user's own structure is also its name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sparsessp.errors import SparseSSPError


@dataclass(frozen=True)
class Structure:
    """One of the paper's structures.

    Attributes:
        key: Name in file names, params and result tables.
        name: Name in the paper.
        allen_set: Its image set in the AllenCell label-free collection. `dna` has no archive; its images are
            the nuclear channels of the other sets.
        task: Index of its one-hot task code in networks for the twelve.
    """

    key: str
    name: str
    allen_set: str
    task: int


_ROWS = (
    ("actin_filament", "Actin Filament", "beta_actin"),
    ("actomyosin_bundle", "Actomyosin Bundle", "myosin_iib"),
    ("cell_membrane", "Cell Membrane", "membrane_caax_63x"),
    ("desmosome", "Desmosome", "desmoplakin"),
    ("dna", "DNA", "dna"),
    ("endoplasmic_reticulum", "Endoplasmic Reticulum", "sec61_beta"),
    ("golgi_apparatus", "Golgi Apparatus", "st6gal1"),
    ("microtubule", "Microtubule", "alpha_tubulin"),
    ("mitochondria", "Mitochondria", "tom20"),
    ("nuclear_envelope", "Nuclear Envelope", "lamin_b1"),
    ("nucleolus", "Nucleolus", "fibrillarin"),
    ("tight_junction", "Tight Junction", "zo1"),
)

STRUCTURES: tuple[Structure, ...] = tuple(Structure(*row, task) for task, row in enumerate(_ROWS))
KEYS: tuple[str, ...] = tuple(structure.key for structure in STRUCTURES)


OWN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,63}")
OWN_NAME_ALLOWED = "a letter, then letters, digits, spaces, '.', '_', '-', at most 64"


def structure(key: str) -> Structure:
    """Return the structure with this key.

    Raises:
        SparseSSPError: The key is unknown; the message lists the known ones.
    """
    if key not in KEYS:
        raise SparseSSPError(f"structure {key!r} is unknown; allowed: {', '.join(KEYS)}")
    return STRUCTURES[KEYS.index(key)]


def name_of(key: str) -> str:
    """Return the name of a structure in tables and figures: the paper's, or the user's own."""
    return STRUCTURES[KEYS.index(key)].name if key in KEYS else key


def key_of(name: str) -> str:
    """Return the key of the structure with this name or key: one of the twelve, or the name of a user's own."""
    key = re.sub(r"[ -]", "_", name).casefold()
    return key if key in KEYS else name


def in_order(keys: Iterable[str]) -> tuple[str, ...]:
    """Return these structures, each once: the paper's in its order, then users' own by name."""
    found = set(keys)
    return (*(key for key in KEYS if key in found), *sorted(found.difference(KEYS)))


def task_codes(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the structures of a network for a dataset with these structures, in the order of their task codes.

    A subset of the paper's twelve keeps their task codes, so that networks trained on different subsets are
    interchangeable.
    """
    found = in_order(keys)
    return KEYS if set(found) <= set(KEYS) else found
