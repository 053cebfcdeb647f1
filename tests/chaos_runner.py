"""Kill workers of `python -m pipeline.run_plan` and the runner itself, and compare the result with `dvc repro`.

  python tests/chaos_runner.py --kills 10 --seed 0

As tests/chaos.py, with two workers in the disturbed clone. SIGKILL hits, at random moments, a worker, its pool, Parsl's
interchange, or the runner; whenever the runner has ended, it is started again. At the end the disturbed clone must hold
the same bytes as one that plain `dvc repro` made, and `dvc repro` must have nothing to do there. Nothing in the
checkout changes.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import chaos
import psutil
from helpers.checkout import BIN, sh

RUNNER = (sys.executable, "-m", "pipeline.run_plan", "--workers", "2")
WAITS = (1, 20)  # s before the next kill
WEIGHTS = {"worker": 4, "pool": 1, "runner": 3, "interchange": 1}  # how often each is hit
ENDS = 120  # s until every process has ended after the runner
LOST = "its worker was lost"  # a job that lost too many workers, which the next run repeats


def processes(clone):
    """The living processes in a clone, by kind."""
    found = {"runner": [], "pool": [], "worker": [], "interchange": [], "other": []}
    for process in psutil.process_iter(["cwd", "cmdline", "ppid"]):
        command = process.info["cmdline"]
        if process.info["cwd"] != str(clone) or not command or "python" not in Path(command[0]).name:
            continue
        module = command[command.index("-m") + 1] if "-m" in command else ""
        kind = module.rpartition(".")[2] if module.startswith("pipeline.run_plan") else "other"
        found[{"run_plan": "runner"}.get(kind, kind)].append(process)
    pools = {process.pid for process in found["pool"]}
    found["worker"] = [process for process in found["other"] if process.info["ppid"] in pools]
    return found


class Run:
    """One run of the runner."""

    def __init__(self, clone):
        self.clone = clone
        self.output = (clone.parent / "runner.txt").open("w+")
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        self.process = subprocess.Popen(RUNNER, cwd=clone, env=environment, stdout=self.output, stderr=self.output)

    def ends_within(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def said(self):
        self.output.flush()
        return Path(self.output.name).read_text(errors="replace")

    def kill(self, kind, rng):
        """Kill a process of this kind; returns whether there was one."""
        living = processes(self.clone)[kind]
        if not living:
            return False
        try:
            rng.choice(living).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def wait_for_the_others(self):
        """Wait until nothing runs in the clone any more."""
        until = time.monotonic() + ENDS
        while any(processes(self.clone).values()):
            if time.monotonic() > until:
                return False
            time.sleep(0.5)
        return True


def disturb(clone, kills, rng, say=print):
    """Run the plan in `clone` with that many kills; returns the kills by kind and the faults."""
    tally, faults = Counter(), []
    waiting = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=kills)
    while not faults:
        run = Run(clone)
        while not run.ends_within(rng.uniform(*WAITS)):
            if waiting and run.kill(waiting[0], rng):
                kind = waiting.pop(0)
                tally[kind] += 1
                say(f"kill {sum(tally.values()):3d}  {kind}", flush=True)
        if not run.wait_for_the_others():
            faults.append(f"processes outlive the runner: {processes(clone)}")
        elif run.process.returncode == 0:
            if not waiting:
                break
            say("all stages done, kills left: starting again", flush=True)
            chaos.forget(clone)
        elif run.process.returncode > 0:
            said = run.said()
            if not (chaos.mend(clone, said) or "interchange ended" in said or LOST in said):
                faults.append(f"the runner failed:\n{said[-3000:]}")
    return tally, faults


def compare(folder, kills, seed, plan=chaos.PLAN, say=print):
    """Do all of it below `folder`, where the undisturbed clone may exist; returns the kills by kind and the faults."""
    one, other = folder / "undisturbed", folder / "disturbed"
    if other.exists():
        chaos.forget(other)
    else:
        for clone in (one, other):
            chaos.prepare(clone, plan)
        seconds = chaos.undisturbed(one)
        chaos.adopt(one, other)
        say(f"undisturbed: {sum(seconds.values()):.0f} s, {len(seconds) - 1} stages", flush=True)
    tally, faults = disturb(other, kills, random.Random(seed), say)
    if not faults:
        faults = chaos.differences(one, other)
        faults += [f"dvc repro: {line}" for line in sh(other, "dvc", "repro").stdout.splitlines() if "Running" in line]
    return tally, faults


def main():
    parser = argparse.ArgumentParser(
        "chaos_runner", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and processes (default %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep the clones here, and reuse them")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # as workers have; with more threads, sums and so bytes differ
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sparsessp-chaos-") as temporary:
        tally, faults = compare(options.folder or Path(temporary), options.kills, options.seed)
    for fault in faults:
        print(f"MISMATCH {fault}")
    kinds = " ".join(f"{kind}={count}" for kind, count in sorted(tally.items()))
    print(f"kills={sum(tally.values())} {kinds} mismatches={len(faults)} seconds={time.monotonic() - start:.0f}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
