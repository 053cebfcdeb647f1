"""A check of the preparation before any training: the variance of the test targets.

Table 7 of the paper reports MSE and R2 of the same predictions, and MSE / (1 - R2) is the variance of their
targets. It is below 1 because a target is z-scored first and then zoomed, which removes some of its noise.
A different filter, order of steps, channel or test set changes it.
"""

import pandas as pd

from sparsessp.paper.published import load_published
from sparsessp.structures import KEYS, structure

TOLERANCE = 0.01
# Share of the variance of white noise that remains after the zoom in y and x by a cubic spline.
NOISE_KEPT = 0.764


def published_variance() -> pd.Series:
    """Return the variance of the paper's test targets by structure: the median over the runs of Table 7."""
    table = load_published()
    scores = table[(table["table"] == 7) & table["structure"].isin(KEYS)]
    runs = scores.pivot(index=["structure", "row", "ratio"], columns="metric", values="value")
    return (runs["MSE"] / (1 - runs["R2"])).groupby("structure").median()


def fingerprint(samples: pd.DataFrame) -> pd.DataFrame:
    """Compare the variance of prepared test targets with the paper's.

    Args:
        samples: The test samples, with the columns `structure` and `target_variance`.

    Returns:
        One row per structure in the samples, in the paper's order: `structure`, `volumes` (how many),
        `variance` (their mean), `published`, `difference` (variance minus published) and `within`
        (the difference is at most 0.01).
    """
    groups = samples.groupby("structure")["target_variance"]
    keys = [key for key in KEYS if key in groups.groups]
    table = pd.DataFrame({"structure": keys, "volumes": groups.size()[keys].to_numpy()})
    table["variance"] = groups.mean()[keys].to_numpy()
    table["published"] = published_variance()[keys].to_numpy()
    table["difference"] = table["variance"] - table["published"]
    return table.assign(within=table["difference"].abs() <= TOLERANCE)


def ceiling(variance: float) -> float:
    """Return the R2 that a perfect prediction of a target would reach, estimated from the target's variance.

    A z-scored target has variance 1 = s + n, signal and noise. The zoom keeps the signal, as far as it is limited by
    diffraction, but only the share k = 0.764 of white noise, so the prepared target has v = s + k (1 - s). Hence
    s = (v - k) / (1 - k), and a prediction that is the signal reaches R2 = s / v.

    This is an estimate, not a measurement: it assumes white noise and a signal without fine detail, and it is
    uncertain where v is close to k. Both shares are limited to 0 to 1.

    Args:
        variance: Variance of the prepared target.
    """
    signal = min(max((variance - NOISE_KEPT) / (1 - NOISE_KEPT), 0.0), 1.0)
    return min(signal / variance, 1.0) if variance > 0 else 0.0


def describe(table: pd.DataFrame) -> str:
    """Return a fingerprint as text for a terminal: one line per structure and a summary."""
    lines = ["variance of the test targets  volumes   here  paper  difference"]
    for row in table.itertuples():
        lines.append(
            f"{structure(row.structure).name:28}  {row.volumes:7}  {row.variance:5.3f}  {row.published:5.3f}  "
            f"{row.difference:+10.3f}{'' if row.within else '  outside'}"
        )
    outside = table.loc[~table["within"], "structure"].tolist()
    verdict = f"outside: {', '.join(outside)}" if outside else "all within"
    return "\n".join([*lines, f"tolerance {TOLERANCE}: {verdict}", ""])
