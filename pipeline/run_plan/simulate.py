"""How long the jobs of a plan take on so many GPUs, with how many GPUs for each job, and what limits it."""

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from statistics import median

from pipeline.paths import DURATIONS
from pipeline.run_plan.progress import duration

_LONGEST = 0.95  # share of the duration from which on the longest job alone limits it
# An assumption, not a measurement: with twice as many GPUs, a training is 1.8 times as fast.
DOUBLING = 1.8
WIDTHS = (1, 2, 4, 8)  # GPUs of a training, within one machine


@dataclass(frozen=True)
class Simulated:
    """A plan on so many GPUs, or other workers.

    Attributes:
        gpus: Number of GPUs.
        width: GPUs of each job.
        seconds: Time until the last job ends.
        utilisation: Share of the GPUs' time in which they run a job.
        limit: What would have to change for an earlier end.
    """

    gpus: int
    width: int
    seconds: float
    utilisation: float
    limit: str


def speedup(width: int) -> float:
    """Return how many times faster a training is assumed to be on so many GPUs."""
    return DOUBLING ** log2(width)


def simulate(seconds: Mapping[str, float], gpus: int, width: int = 1) -> Simulated:
    """Give each free group of GPUs the longest job that is left, as the runner does.

    Args:
        seconds: Duration of each job on one GPU.
        gpus: Number of GPUs; those that do not fill a group stay idle.
        width: GPUs of a group, at most `gpus`.
    """
    costs = {name: cost / speedup(width) for name, cost in seconds.items()}
    free = [0.0] * (gpus // width)
    for cost in sorted(costs.values(), reverse=True):
        heapq.heapreplace(free, free[0] + cost)
    end = max(free)
    longest = max(costs, key=costs.__getitem__)
    limit = f"the longest run, {longest}" if costs[longest] >= _LONGEST * end else "the number of GPUs"
    return Simulated(gpus, width, end, width * sum(costs.values()) / (end * gpus), limit)


def fastest(seconds: Mapping[str, float], gpus: int, widest: int) -> Simulated:
    """Return the plan with the number of GPUs per job, at most `widest`, that ends first; the smallest of equals."""
    widths = [width for width in WIDTHS if width <= min(gpus, widest)]
    return min((simulate(seconds, gpus, width) for width in widths), key=lambda plan: plan.seconds)


def in_seconds(costs: Mapping[str, float]) -> tuple[dict[str, float], int]:
    """Return the seconds of each job on one GPU: as measured, or from its cost and the speed of the measured ones.

    The time of a training by several processes is multiplied by their assumed `speedup`.

    Args:
        costs: Operations of each job.

    Returns:
        Seconds by job, and how many of them were measured; no seconds if none was.
    """
    files = {name: DURATIONS / f"{name}.json" for name in costs}
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in files.items() if path.is_file()}
    measured = {name: float(line["seconds"]) * speedup(line.get("ranks", 1)) for name, line in found.items()}
    speeds = [seconds / costs[name] for name, seconds in measured.items() if costs[name]]
    if not speeds:
        return {}, 0
    return {name: measured.get(name, cost * median(speeds)) for name, cost in costs.items()}, len(measured)


def table(seconds: Mapping[str, float], gpus: Sequence[int], measured: int, widest: int) -> str:
    """Return the simulation as text; `widest` is the largest number of GPUs for a run."""
    rows = [fastest(seconds, count, widest) for count in gpus]
    source = f"{measured} of {len(seconds)} runs measured, the others estimated from their operations"
    lines = [f"{len(seconds)} runs, {duration(sum(seconds.values()))} of training one after another ({source})"]
    lines += [f"{'GPUs':>5}  {'GPUs per run':>12}  {'finished after':>14}  utilisation  limited by"]
    lines += [f"{r.gpus:5}  {r.width:12}  {duration(r.seconds):>14}  {r.utilisation:11.0%}  {r.limit}" for r in rows]
    lines += [f"GPUs, or CPU cores. Assumed: twice as many GPUs per run make it {DOUBLING} times as fast."]
    return "\n".join(lines)
