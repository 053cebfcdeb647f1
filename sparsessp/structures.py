"""The twelve subcellular structures, in the order of the paper's Table 7 (section 4.1)."""

from dataclasses import dataclass

from sparsessp.errors import SparseSSPError


@dataclass(frozen=True)
class Structure:
    """One subcellular structure, that is, one task of the networks.

    Attributes:
        key: Name in file names, params and result tables.
        name: Name in the paper.
        allen_set: Its image set in the AllenCell label-free collection. `dna` has no archive; its images are
            the nuclear channels of the other sets.
        task: Index of its one-hot task code.
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


def structure(key: str) -> Structure:
    """Return the structure with this key.

    Raises:
        SparseSSPError: The key is unknown; the message lists the known ones.
    """
    if key not in KEYS:
        raise SparseSSPError(f"structure {key!r} is unknown; allowed: {', '.join(KEYS)}")
    return STRUCTURES[KEYS.index(key)]
