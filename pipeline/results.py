"""Output files of a scored run or reference prediction."""

from pathlib import Path

from sparsessp.data.samples import write_table
from sparsessp.learning.evaluation import Evaluation
from sparsessp.schema import PLANES_FILE, SCORES_FILE


def write_scores(folder: Path, found: Evaluation) -> None:
    """Write the scores by volume and the errors by plane to `folder`."""
    write_table(folder / SCORES_FILE, found.scores)
    write_table(folder / PLANES_FILE, found.planes, "%.6g")
