"""Kill `dvc repro` with SIGKILL again and again, and compare the result with that of an undisturbed run.

  python tests/chaos.py --kills 50 --seed 0

Two clones of this checkout run the same small plan at smoke scale. One runs undisturbed; the other is killed at random
moments, spread evenly over its stages and DVC's own work between them: two times out of three the whole process group,
otherwise DVC alone, whose stage keeps running. Each time plain `dvc repro` is started again. DVC writes dvc.lock in
place; if a kill leaves a file that DVC refuses to read, the documented remedy is applied, `git checkout dvc.lock`, and
counted (`lockfiles`); so is the removal of .dvc/tmp/rwlock, as DVC's own message advises (`rwlocks`). At the end both
clones must hold the same bytes. Nothing in the checkout changes.
"""

import argparse
import hashlib
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from helpers.checkout import BIN, make_clone, sh

from sparsessp.support.yaml_files import read_yaml

SAVE_OFTEN = "scale.training.validate_every=1"
# Small, and saved after each step, so that a kill finds a state to resume from.
PLAN = (
    "scale=smoke",
    "methods=[tgnet,multinet]",
    "structures=[dna,nucleolus]",
    SAVE_OFTEN,
    "scale.budget.amount={topology_3d:12,topology_2d:12,topology_2to3d:12,topology_3to2d:12,multinet:16}",
)
# Two trainings and everything around them, for tests.
SMALL_PLAN = (
    "scale=smoke",
    "structures=[dna]",
    SAVE_OFTEN,
    "plan.grid=[{method:[tgnet],topology:[3to2d]},{method:[plain],topology:[2d]}]",
)
STARTING = "(dvc starts)"
# Measured by every run, so never equal.
MEASURED = ("artifacts/profile", "artifacts/durations", "reports/timings.")
# Not results: the pipeline's own notes.
NOTES = ("artifacts/locks", "artifacts/failures", "artifacts/logs", "artifacts/voxel_checks.txt")
AS_CHAOS = ("-c", "user.name=chaos", "-c", "user.email=chaos")
_RUNNING = re.compile(r"Running stage '(.+)'")
_RESUMED = re.compile(r"from iteration \d+")
_BAD_LOCKFILE = re.compile(r"dvc\.lock' (is invalid|validation failed)")
_BAD_RWLOCK = re.compile(r"RWLock-file.*(corrupted|format error)|manually remove '.*rwlock'", re.S)


@dataclass
class Tally:
    """What happened to the disturbed clone."""

    kills: Counter = field(default_factory=Counter)
    resumed: int = 0
    states: int = 0
    remedies: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Repro:
    """One `dvc repro`, in a new process group."""

    def __init__(self, clone):
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DVC_SITE_CACHE_DIR": f"{clone}.site"}
        self.process = subprocess.Popen(
            ("dvc", "repro"),
            cwd=clone,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.stage, self.said, self.ended = STARTING, [], False
        self.lines = queue.SimpleQueue()
        Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stdout as lines:
            for line in lines:
                self.lines.put(line)
        self.lines.put(None)

    def follow(self, until=None, stages=()):
        """Read until one of `stages` begins (return it), the time `until` (return True), or the end (return None)."""
        while not self.ended:
            try:
                wait = None if until is None else max(0.0, until - time.monotonic())
                line = self.lines.get(timeout=wait)
            except queue.Empty:
                return True
            if line is None:
                self.process.wait()
                self.ended = True
                break
            self.said.append(line)
            if found := _RUNNING.search(line):
                self.stage = found[1]
                if self.stage in stages:
                    return self.stage
        return None

    def kill(self, dvc_only):
        if dvc_only:
            self.process.kill()
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def undisturbed(clone):
    """Run to the end; returns the seconds from the start of each stage to that of the next."""
    run, seconds, last = Repro(clone), {}, time.monotonic()
    stage = STARTING
    while stage is not None:
        current = run.stage
        stage = run.follow(stages=_Everything())
        now = time.monotonic()
        seconds[current], last = now - last, now
    assert run.process.returncode == 0, "".join(run.said[-40:])
    return seconds


class _Everything:
    def __contains__(self, _stage):
        return True


def targets(seconds, kills, rng):
    """Return the stage of each kill, in the order of the run and as evenly as possible."""
    stages = [stage for stage in seconds if stage != "profile"]
    share, left = divmod(kills, len(stages))
    extra = set(rng.sample(stages, left))
    return [stage for stage in stages for _ in range(share + (stage in extra))]


def disturb(clone, seconds, kills, rng, say=print):
    """Kill `dvc repro` in `clone` that often, then let it finish."""
    tally = Tally()
    order = list(seconds)
    waiting, killed = targets(seconds, kills, rng), False
    while True:
        run, after_kill, killed = Repro(clone), killed, False
        if waiting:
            target = waiting.pop(0)
            # If an earlier kill came too late, its stage is done; then the next one is killed.
            if target == STARTING or run.follow(stages=order[order.index(target) :]):
                began = time.monotonic()
                stage = target if target == STARTING else run.stage
                killed = bool(run.follow(until=began + rng.uniform(0, 1.1 * seconds[stage])))
        if killed:
            dvc_only = rng.random() < 1 / 3
            run.kill(dvc_only)
            tally.kills[run.stage] += 1
            say(
                f"kill {sum(tally.kills.values()):3d}  {'dvc alone' if dvc_only else 'all      '}  {run.stage}",
                flush=True,
            )
            run.follow(until=time.monotonic() + 1)
        else:
            run.follow()
        tally.states += sum(bool(_RESUMED.search(line)) for line in run.said)
        tally.resumed += after_kill and (killed or run.process.returncode == 0)
        if killed:
            continue
        if run.process.returncode and (remedy := mend(clone, "".join(run.said))):
            tally.remedies[remedy] += 1
            say(f"{remedy}: the documented remedy applied", flush=True)
            killed = after_kill
            continue
        if run.process.returncode:
            tally.faults.append("dvc repro failed:\n" + "".join(run.said[-30:]))
            return tally
        missing = kills - sum(tally.kills.values())
        if not missing:
            return tally
        say(f"all stages done, {missing} kills left: starting again", flush=True)
        forget(clone)
        waiting = targets(seconds, missing, rng)


def mend(clone, said):
    """Apply the documented remedy if DVC refused a file that a kill cut short; returns which file, or None."""
    if _BAD_LOCKFILE.search(said):
        sh(clone, "git", "checkout", "--quiet", "dvc.lock")
        return "lockfiles"
    if _BAD_RWLOCK.search(said):
        (clone / ".dvc/tmp/rwlock").unlink()
        return "rwlocks"
    return None


def adopt(one, other):
    """Copy the measurements of stage profile, which takes long and never measures the same twice."""
    sh(other, "dvc", "repro", "check")
    shutil.copytree(one / "artifacts/profile", other / "artifacts/profile")
    sh(other, "dvc", "commit", "--force", "profile")
    sh(other, "git", *AS_CHAOS, "commit", "--quiet", "-am", "profile")


def forget(clone):
    """Reset a clone to the state in which only the profile has run."""
    sh(clone, "git", "checkout", "--quiet", "dvc.lock", "reports")
    for path in (clone / "artifacts").iterdir():
        if path.name not in ("profile", "code", "checked"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # Otherwise DVC would restore every result from there.
    shutil.rmtree(clone / ".dvc/cache/runs")


def sums(clone):
    """SHA-256 of every result."""
    found = {}
    for folder in ("artifacts", "reports", ".scratch"):
        for path in sorted((clone / folder).rglob("*")):
            name = path.relative_to(clone).as_posix()
            if path.is_file() and not name.startswith((*MEASURED, *NOTES)):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def locked(clone):
    """The outputs in dvc.lock of each stage of the plan, but for the measured ones.

    An incomplete file may still be valid; then it also lacks entries of earlier plans, which no run restores.
    """
    planned = sh(clone, "dvc", "stage", "list", "--name-only").stdout.split()
    stages = read_yaml(clone / "dvc.lock")["stages"]
    return {
        name: {out["path"]: out.get("md5") for out in entry.get("outs", ()) if not out["path"].startswith(MEASURED)}
        for name, entry in stages.items()
        if name in planned
    }


def differences(one, other):
    """Return the differences between two clones, one line each."""
    have = (sums(one), sums(other))
    errors = [
        f"{name}: differs or is missing" for name in sorted(have[0].keys() | have[1].keys()) if not same(have, name)
    ]
    locks = (locked(one), locked(other))
    stages = sorted(locks[0].keys() | locks[1].keys())
    errors += [f"dvc.lock, {stage}: differs or is missing" for stage in stages if not same(locks, stage)]
    reasons = [path.name for path in (other / "artifacts/failures").glob("*")]
    return errors + [f"artifacts/failures/{name}: a failure is left" for name in reasons]


def same(tables, key):
    return tables[0].get(key) == tables[1].get(key)


def prepare(folder, plan):
    """Clone this checkout with its uncommitted changes, and commit the plan there."""
    clone = make_clone(folder)
    sh(clone, sys.executable, "-m", "pipeline.compose", *plan)
    sh(clone, "git", "add", "--all")
    sh(clone, "git", *AS_CHAOS, "commit", "--quiet", "-m", "plan")
    return clone


def chaos(folder, kills, seed, plan=PLAN, say=print):
    """Do all of it below `folder`; returns the tally, mismatches among its faults."""
    one, other = (prepare(folder / name, plan) for name in ("undisturbed", "disturbed"))
    seconds = undisturbed(one)
    adopt(one, other)
    say(f"undisturbed: {sum(seconds.values()):.0f} s, {len(seconds) - 1} stages", flush=True)
    tally = disturb(other, seconds, kills, random.Random(seed), say)
    if not tally.faults:
        tally.faults = differences(one, other)
    return tally


def main():
    parser = argparse.ArgumentParser("chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default %(default)s)")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sparsessp-chaos-") as folder:
        tally = chaos(Path(folder), options.kills, options.seed)
    print("\nkills by stage:")
    for stage, count in tally.kills.items():
        print(f"  {count:3d}  {stage}")
    print(f"trainings resumed from a saved state: {tally.states}")
    for fault in tally.faults:
        print(f"MISMATCH {fault}")
    counts = {
        "kills": sum(tally.kills.values()),
        "resumed": tally.resumed,
        "lockfiles": tally.remedies["lockfiles"],
        "rwlocks": tally.remedies["rwlocks"],
        "mismatches": len(tally.faults),
        "seconds": round(time.monotonic() - start),
    }
    print(" ".join(f"{name}={count}" for name, count in counts.items()))
    sys.exit(bool(tally.faults))


if __name__ == "__main__":
    main()
