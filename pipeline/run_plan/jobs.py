"""What the runner sends to a worker, and what comes back."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.paths import ARTIFACTS

LOGS = ARTIFACTS / "logs"
BIN = Path(sys.executable).parent  # of the environment: dvc, and the scripts of Parsl


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml that has to run.

    Attributes:
        name: As DVC has it, such as train@NAME.
        command: Its command line.
        outputs: Files and folders it writes.
        code: List of its source files, which stage code wrote.
        inputs: Checksum of each dependency; None if a stage before it in its job writes one of them.
    """

    name: str
    command: str
    outputs: tuple[str, ...]
    code: str
    inputs: Mapping[str, str | None] | None = None


@dataclass(frozen=True)
class Job:
    """Stages that run one after the other in one worker: the training of an experiment, then its evaluation.

    Attributes:
        name: Of the experiment, or of the reference prediction.
        stages: In order.
    """

    name: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Outcome:
    """What a worker made of a job.

    Attributes:
        done: Names of the stages that succeeded.
        reason: Why the next one failed; None if none did.
        seconds: Duration, without attempts that were killed.
    """

    done: tuple[str, ...]
    reason: str | None
    seconds: float


def log(name: str) -> Path:
    """Return the log file of a job."""
    return LOGS / f"{name}.txt"
