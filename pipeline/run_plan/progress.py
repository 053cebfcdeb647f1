"""What the runner prints while it runs: one line for each finished job, and now and then one for those that run."""

import time
from collections.abc import Mapping

from pipeline.run_plan.jobs import Outcome, log

_EVERY = 30.0  # s between two lines about the running jobs
_TAIL = 4096  # bytes of a log in which its last line is looked for
_WIDTH = 100  # characters of it that are shown


class Progress:
    """Counts jobs and estimates the time left from their costs."""

    def __init__(self, costs: Mapping[str, float], workers: int):
        """Start the clock.

        Args:
            costs: Of each job, in any unit.
            workers: Jobs at a time.
        """
        self._costs, self._workers = costs, workers
        self._start = self._said = time.monotonic()
        self._finished: dict[str, float] = {}
        self._failed = 0
        for name in costs:
            log(name).unlink(missing_ok=True)

    def finished(self, name: str, outcome: Outcome) -> None:
        """Print the line of a finished job."""
        self._finished[name] = outcome.seconds
        self._failed += outcome.reason is not None
        result = "done" if outcome.reason is None else f"failed: {outcome.reason}"
        count = f"[{len(self._finished):{len(str(len(self._costs)))}}/{len(self._costs)}]"
        print(f"{count} {name} {result} ({outcome.seconds:.1f} s){self._times()}", flush=True)

    def running(self) -> None:
        """Print a line about the running jobs, if the last one was long ago."""
        if time.monotonic() - self._said < _EVERY:
            return
        self._said = time.monotonic()
        running = [name for name in self._costs if name not in self._finished and log(name).exists()]
        queued = len(self._costs) - len(self._finished) - len(running)
        counts = {
            "running": len(running),
            "queued": queued,
            "done": len(self._finished) - self._failed,
            "failed": self._failed,
        }
        print(", ".join(f"{count} {word}" for word, count in counts.items()) + self._times(), flush=True)
        width = max(map(len, running), default=0)
        for name in running:
            print(f"  {name:{width}}  {last_line(name)}", flush=True)

    def _times(self) -> str:
        passed = duration(time.monotonic() - self._start)
        left = [cost for name, cost in self._costs.items() if name not in self._finished]
        if not left or not self._finished:
            return f", {passed}"
        # Every job takes some time whatever its cost: at most that of the quickest.
        least = min(self._finished.values())
        spent = sum(self._finished.values()) - least * len(self._finished)
        rate = spent / max(sum(self._costs[name] for name in self._finished), 1e-9)
        seconds = (least * len(left) + rate * sum(left)) / self._workers
        return f", {passed}, about {duration(seconds)} left"


def last_line(name: str) -> str:
    """Return the last line of a job's log, or the last state of its progress bar."""
    with log(name).open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - _TAIL))
        text = stream.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:_WIDTH] if lines else "starting"


def duration(seconds: float) -> str:
    """Return seconds as text: 5 s, 2 min 05 s or 3 h 07 min."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02} min"
