"""The input of a report, in one object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from sparsessp.config import ExperimentSettings
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.claims import claims
from sparsessp.reporting.document.model import Inline
from sparsessp.reporting.durations import Circumstances
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.scores import load_scores, over_seeds, summarise
from sparsessp.reporting.tables.resources import read_profile, table6
from sparsessp.schema import Z_PROFILE, linear_regression


@dataclass(frozen=True)
class Results:
    """Planned runs, their results, and facts for captions.

    Attributes:
        labels: Data, scale and budget.
        experiments: Planned runs by name.
        scores: One row per run and test volume, from `load_scores`.
        evidence: Other files of the runs.
        profile: From `read_profile`.
        ceilings: Structure -> R2 of a perfect prediction, below 1 because targets are noisy; None if unknown.
        fingerprint: Variance of the test targets compared with the paper's, if the images are the paper's.
        reasons: Known reasons why runs without scores failed, by name.
        clusters: Volume -> its plate or field; volumes of one plate or field are resampled together.
        provenance: Name -> text of each input that determines the results.
        circumstances: Machine, time and durations, for the page of timings.
    """

    labels: Labels
    experiments: Mapping[str, Mapping[str, Any]]
    scores: pd.DataFrame
    evidence: Evidence
    profile: pd.DataFrame
    ceilings: Mapping[str, float] | None = None
    fingerprint: pd.DataFrame | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] | None = None
    provenance: Mapping[str, Inline] = field(default_factory=dict)
    circumstances: Circumstances = field(default_factory=Circumstances)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Means of each run, that is, of each seed."""
        return summarise(self.scores)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Means of each setting over its seeds."""
        return over_seeds(self.runs)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """The paper's claims, tested on the scores."""
        return claims(self.scores, table6(self.profile), self.labels.ratios, self.clusters)

    @cached_property
    def settings(self) -> dict[str, ExperimentSettings]:
        """Settings of the planned runs by name."""
        known = ExperimentSettings.model_fields
        return {
            name: ExperimentSettings(**{key: value for key, value in experiment.items() if key in known})
            for name, experiment in self.experiments.items()
        }

    @property
    def missing(self) -> list[str]:
        """Planned runs without scores."""
        return [name for name in planned(self.experiments, self.labels) if name not in self.runs.index]


def planned(experiments: Mapping[str, Any], labels: Labels) -> list[str]:
    """Return the names of the planned runs and reference predictions."""
    return [*experiments, *(linear_regression(ratio) for ratio in labels.ratios), Z_PROFILE]


def load_results(
    experiments: Mapping[str, Mapping[str, Any]],
    folder: Path,
    labels: Labels,
    profile: Path | None = None,
    runs: Path | None = None,
    **more: Any,
) -> Results:
    """Read the results of the planned runs.

    Results of other runs in the same folder are ignored. A planned run without scores is shown as a dash.

    Args:
        experiments: Planned runs by name.
        folder: Folder with `<name>/scores.csv` and the other files of each run, written by evaluation.
        labels: Data, scale and budget, for captions.
        profile: File of the profile stage; without it, Table 6 and the timings are dashes.
        runs: Folder with `<name>/history.csv` and `network.json` of each run, written by training; by default
            `folder`.
        more: Further attributes of `Results`.

    Raises:
        SparseSSPError: No planned run has scores, a file is malformed, or the number of scored volumes is not
            `labels.test`.
    """
    names = planned(experiments, labels)
    scores = load_scores(folder, names)
    if not set(scores["experiment"]) & set(experiments):
        raise SparseSSPError(f"{folder}: none of the {len(experiments)} planned runs has a scores.csv")
    volumes = scores["volume"].nunique()
    if volumes != labels.test:
        raise SparseSSPError(f"{folder}: scores are of {volumes} volumes; the dataset has {labels.test} test volumes")
    structures = scores.drop_duplicates("volume").set_index("volume")["structure"].to_dict()
    evidence = Evidence(folder, runs or folder, tuple(names), structures)
    return Results(labels, experiments, scores, evidence, read_profile(profile), **more)
