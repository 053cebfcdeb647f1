"""How long the jobs of a plan take on so many workers, and what limits it."""

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pipeline.paths import DURATIONS
from pipeline.run_plan.progress import duration

_LONGEST = 0.95  # share of the duration from which on the longest job alone limits it


@dataclass(frozen=True)
class Simulated:
    """A plan on so many workers.

    Attributes:
        workers: Number of workers.
        seconds: Time until the last job ends.
        utilisation: Share of the workers' time in which they work.
        limit: What would have to change for an earlier end.
    """

    workers: int
    seconds: float
    utilisation: float
    limit: str


def simulate(seconds: Mapping[str, float], workers: int) -> Simulated:
    """Give each free worker the longest job that is left, as the runner does."""
    free = [0.0] * workers
    for cost in sorted(seconds.values(), reverse=True):
        heapq.heapreplace(free, free[0] + cost)
    end = max(free)
    longest = max(seconds, key=seconds.__getitem__)
    limit = f"the longest run, {longest}" if seconds[longest] >= _LONGEST * end else "the number of workers"
    return Simulated(workers, end, sum(seconds.values()) / (end * workers), limit)


def in_seconds(costs: Mapping[str, float]) -> tuple[dict[str, float], int]:
    """Return the seconds of each job: as measured, or from its cost and the speed of the measured ones.

    Args:
        costs: Operations of each job.

    Returns:
        Seconds by job, and how many of them were measured; no seconds if none was.
    """
    files = {name: DURATIONS / f"{name}.json" for name in costs}
    measured = {
        name: float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
        for name, path in files.items()
        if path.is_file()
    }
    speeds = [seconds / costs[name] for name, seconds in measured.items() if costs[name]]
    if not speeds:
        return {}, 0
    return {name: measured.get(name, cost * median(speeds)) for name, cost in costs.items()}, len(measured)


def table(seconds: Mapping[str, float], workers: Sequence[int], measured: int) -> str:
    """Return the simulation as text."""
    rows = [simulate(seconds, count) for count in workers]
    source = f"{measured} of {len(seconds)} runs measured, the others estimated from their operations"
    lines = [f"{len(seconds)} runs, {duration(sum(seconds.values()))} of training one after another ({source})"]
    lines += [f"{'workers':>7}  {'finished after':>14}  utilisation  limited by"]
    lines += [f"{r.workers:7}  {duration(r.seconds):>14}  {r.utilisation:11.0%}  {r.limit}" for r in rows]
    return "\n".join(lines)
