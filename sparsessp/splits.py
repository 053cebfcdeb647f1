"""Training, validation and test volumes (section 4.1; RepMode's split, which the paper takes)."""

import numpy as np
import pandas as pd

from sparsessp.errors import SparseSSPError

PARTS = ("train", "validation", "test")
SEED = 42
_TRAINING_SHARE = 0.75  # of all volumes, training and validation together
_TRAIN_SHARE = 0.9  # of those


def split(manifest: pd.DataFrame, seed: int = SEED) -> pd.DataFrame:
    """Deal the volumes of each structure to train, validation and test.

    A quarter of a structure's volumes is for the test, a tenth of the rest for validation; each part
    holds at least one.

    Args:
        manifest: One row per volume, with the columns `volume` and `structure`.
        seed: Of the shuffles.

    Returns:
        The columns `volume`, `structure` and `part`, in the manifest's order.

    Raises:
        SparseSSPError: There is no volume, a name stands twice, or a structure has fewer than three.
    """
    if manifest.empty:
        raise SparseSSPError("the manifest lists no volume; nothing can be split")
    twice = manifest.loc[manifest["volume"].duplicated(), "volume"]
    if len(twice):
        raise SparseSSPError(f"volume {twice.iloc[0]!r} stands twice in the manifest; names must be unique")
    part = pd.Series(index=manifest.index, dtype=object)
    for structure, rows in manifest.groupby("structure", sort=False):
        for name, index in zip(PARTS, _deal(rows.index.to_numpy(), str(structure), seed), strict=True):
            part[index] = name
    return manifest[["volume", "structure"]].assign(part=part)


def _deal(index: np.ndarray, structure: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shuffle, cut off the test, shuffle the rest again, cut off validation; as RepMode does."""
    n = len(index)
    if n < 3:
        raise SparseSSPError(f"structure {structure!r} has {n} volumes; a split needs at least 3")
    training = min(max(round(_TRAINING_SHARE * n), 2), n - 1)
    train = min(max(round(_TRAIN_SHARE * training), 1), training - 1)
    shuffled = index[np.random.RandomState(seed).permutation(n)]
    rest = shuffled[:training][np.random.RandomState(seed).permutation(training)]
    return rest[:train], rest[train:], shuffled[training:]
