"""Split into training, validation and test volumes (section 4.1; the paper uses RepMode's split).

A collection with image lists is split by its lists, so that a selection of structures is split exactly as
the whole collection is. Other data are split by their manifest.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from sparsessp.errors import SparseSSPError
from sparsessp.structures import structure

PARTS = ("train", "validation", "test")
SEED = 42
Rule = Literal["repmode", "plate"]
RULES: tuple[Rule, ...] = ("repmode", "plate")
_TRAINING_SHARE = 0.75  # of all volumes, training and validation together
_TRAIN_SHARE = 0.9  # of training and validation together
_DNA = structure("dna").allen_set
DNA_VOLUMES = (54, 6, 20)  # at most, by part

Positions = tuple[np.ndarray, np.ndarray, np.ndarray]  # of the rows of each part, in the split's order


def base_name(image: str) -> str:
    """Return the file name in an image's path, with slashes or backslashes."""
    return re.split(r"[/\\]", image)[-1]


def plate(image: str) -> str:
    """Return the plate of an image: its file name up to the first underscore."""
    return base_name(image).split("_")[0]


def split(manifest: pd.DataFrame, rule: Rule = "repmode", seed: int = SEED) -> pd.DataFrame:
    """Assign the volumes of each structure to train, validation or test.

    A quarter of a structure's volumes are test volumes and a tenth of the rest validation volumes; each part
    has at least one.

    Args:
        manifest: One row per volume, with the columns `volume` and `structure`, and `plate` if the
            rule is "plate".
        rule: "repmode" assigns single volumes. "plate" assigns whole plates, so that no plate is in two
            parts; the shares are then as close as the plates allow.
        seed: Random seed of the shuffles.

    Returns:
        The columns `volume`, `structure` and `part`, in the manifest's order.

    Raises:
        SparseSSPError: There is no volume, a name is listed twice, or a structure has too few volumes or
            plates.
    """
    _check_names(manifest)
    column = "plate" if rule == "plate" else "volume"
    if column not in manifest:
        raise SparseSSPError(f"the manifest has no column {column!r}, which rule {rule!r} needs")
    groups = {str(key): rows for key, rows in manifest.groupby("structure", sort=False)}
    part = pd.Series(index=manifest.index, dtype=object)
    for key, rows_of in _positions({key: rows[column].tolist() for key, rows in groups.items()}, rule, seed).items():
        for name, positions in zip(PARTS, rows_of, strict=True):
            part[groups[key].index[positions]] = name
    return manifest[["volume", "structure"]].assign(part=part)


def split_lists(
    lists: Mapping[str, pd.DataFrame], rule: Rule = "repmode", seed: int = SEED
) -> dict[str, dict[str, pd.DataFrame]]:
    """Assign the rows of the image lists to train, validation or test.

    Each set is split independently. The rows of `dna` name images of the other sets: the rows of a part
    are drawn from the other sets' images of that part, at most 54, 6 and 20 of them.

    Args:
        lists: Image lists by set, with the column `path_czi`; any of the twelve sets.
        rule: As for `split`; a plate shared by several sets is in the same part of all of them.
        seed: Random seed of the shuffles.

    Returns:
        Rows of the list by set and part, in the split's order.

    Raises:
        SparseSSPError: A set has too few rows or plates, or a part has no row of `dna`.
    """
    sets = sorted(name for name in lists if name != _DNA)
    positions = _positions({name: [plate(image) for image in lists[name]["path_czi"]] for name in sets}, rule, seed)
    result = {
        name: {part: lists[name].iloc[rows].reset_index(drop=True) for part, rows in zip(PARTS, of_set, strict=True)}
        for name, of_set in positions.items()
    }
    if _DNA in lists:
        others = {part: [image for name in sets for image in result[name][part]["path_czi"]] for part in PARTS}
        result[_DNA] = {
            part: _draw(lists[_DNA], pd.Series(others[part], dtype=object), most, part, seed)
            for part, most in zip(PARTS, DNA_VOLUMES, strict=True)
        }
    return result


def assign(manifest: pd.DataFrame, lists: Mapping[str, pd.DataFrame], rule: Rule = "repmode") -> pd.DataFrame:
    """Assign volumes to the parts by the split of the image lists they were made from.

    Args:
        manifest: One row per volume, with the columns `volume`, `structure` and `image`, which is the
            `path_czi` of its row in the list; some structures or all.
        lists: All image lists by set, whatever structures the manifest has.
        rule: As for `split_lists`.

    Returns:
        The columns `volume`, `structure` and `part`, in the manifest's order, without the volumes of
        `dna` that are in no part.

    Raises:
        SparseSSPError: A name is listed twice, an image of the split is missing in the manifest, or an
            image of the manifest is missing in the lists. All of them are named.
    """
    _check_names(manifest)
    split_rows = split_lists(lists, rule)
    parts: dict[tuple[str, str], str] = {}
    faults = []
    for key, volumes in manifest.groupby("structure", sort=False):
        name = structure(str(key)).allen_set
        if name not in lists:
            faults.append(f"structure {key!r} needs the image list of the set {name!r}")
            continue
        part_of = {image: part for part in PARTS for image in split_rows[name][part]["path_czi"]}
        here = set(volumes["image"])
        missing = [image for image in part_of if image not in here]
        unlisted = volumes.loc[~volumes["image"].isin(lists[name]["path_czi"]), "volume"]
        faults += [f"image {image!r} of the list {name} is missing in the manifest" for image in missing]
        faults += [f"volume {volume!r}: its image is not in the list {name}" for volume in unlisted]
        parts |= {(str(key), image): part for image, part in part_of.items()}
    if faults:
        raise SparseSSPError("; ".join(faults))
    part = [parts.get(row) for row in zip(manifest["structure"], manifest["image"], strict=True)]
    return manifest[["volume", "structure"]].assign(part=part).dropna(subset="part")


def _check_names(manifest: pd.DataFrame) -> None:
    """Refuse a manifest that is empty or names a volume twice."""
    if manifest.empty:
        raise SparseSSPError("the manifest lists no volume; nothing can be split")
    twice = manifest.loc[manifest["volume"].duplicated(), "volume"]
    if len(twice):
        raise SparseSSPError(f"volume {twice.iloc[0]!r} is listed twice in the manifest; names must be unique")


def _positions(labels: Mapping[str, Sequence[str]], rule: Rule, seed: int) -> dict[str, Positions]:
    """Split the rows of each group; `labels` are their plates if the rule is "plate"."""
    if rule not in RULES:
        raise SparseSSPError(f"rule {rule!r} is unknown; allowed: {', '.join(RULES)}")
    if rule == "plate":
        return _split_plates(labels, seed)
    return {name: _split_rows(len(rows), name, seed) for name, rows in labels.items()}


def counts(n: int, name: str) -> tuple[int, int, int]:
    """Return the number of training, validation and test volumes of a group of `n`.

    Raises:
        SparseSSPError: The group has too few volumes.
    """
    if n < 3:
        raise SparseSSPError(f"{name!r} has {n} volumes; a split needs at least 3")
    training = min(max(round(_TRAINING_SHARE * n), 2), n - 1)
    train = min(max(round(_TRAIN_SHARE * training), 1), training - 1)
    return train, training - train, n - training


def _split_rows(n: int, name: str, seed: int) -> Positions:
    """Shuffle, take the test rows off the end, shuffle the rest again, take validation off; as RepMode does."""
    train, validation, _ = counts(n, name)
    shuffled = np.random.RandomState(seed).permutation(n)
    rest, test = np.split(shuffled, [train + validation])
    rest = rest[np.random.RandomState(seed).permutation(len(rest))]
    return rest[:train], rest[train:], test


def _split_plates(plates: Mapping[str, Sequence[str]], seed: int) -> dict[str, Positions]:
    """Assign whole plates, the largest first, each to the part that lacks the most rows.

    A plate keeps the part that it has in an earlier group; rows keep their order.
    """
    part_of: dict[str, int] = {}
    result = {}
    for name in sorted(plates):
        sizes = Counter(plates[name])
        room = list(counts(len(plates[name]), name))
        for label in sizes.keys() & part_of.keys():
            room[part_of[label]] -= sizes[label]
        new = sorted(sizes.keys() - part_of.keys())
        new = [new[i] for i in np.random.RandomState(seed).permutation(len(new))]
        new.sort(key=lambda label, sizes=sizes: -sizes[label])
        for left, label in zip(range(len(new), 0, -1), new, strict=True):
            empty = set(range(3)) - {part_of.get(other) for other in sizes}
            # The last plates fill parts that are still empty, so that each part has at least one.
            part_of[label] = max(sorted(empty) if left <= len(empty) else range(3), key=room.__getitem__)
            room[part_of[label]] -= sizes[label]
        parts = np.array([part_of[label] for label in plates[name]])
        positions = tuple(np.flatnonzero(parts == part) for part in range(3))
        for part, rows in zip(PARTS, positions, strict=True):
            if not len(rows):
                raise SparseSSPError(
                    f"{name!r}: its {len(sizes)} plates leave no volume for {part}; rule 'plate' needs "
                    "at least 3 plates that no other set shares; rule 'repmode' needs no plates"
                )
        result[name] = positions
    return result


def _draw(dna: pd.DataFrame, images: pd.Series, most: int, part: str, seed: int) -> pd.DataFrame:
    """Draw at most `most` rows of `dna` whose image is in `images`, after two shuffles as RepMode does."""
    rng = np.random.RandomState(seed)
    walk = images.sample(frac=1, random_state=rng).to_numpy()
    order = np.arange(len(walk))
    rng.shuffle(order)
    rows = {image: row for row, image in enumerate(dna["path_czi"])}
    drawn = [rows[image] for image in walk[order] if image in rows][:most]
    if not drawn:
        raise SparseSSPError(f"{_DNA!r}: none of its images is among the other sets' images of part {part}")
    return dna.iloc[drawn].reset_index(drop=True)
