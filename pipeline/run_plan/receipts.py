"""Receipts of finished trainings, which are kept even if the runner is killed before it has recorded them.

A worker writes the receipt when a training has finished. The runner that is started next compares it with what DVC
would run and with the files, and records the training in DVC instead of repeating it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.run_plan.jobs import LOGS, Stage
from sparsessp.support.files import sha256, write_text


def _path(stage: str) -> Path:
    return LOGS / f"{stage}.json"


def content(command: str, inputs: Mapping[str, str | None], outputs: Sequence[str]) -> dict[str, Any]:
    """Return what a receipt says of the files that are there now.

    Args:
        command: Command line of the stage.
        inputs: Checksum of each dependency.
        outputs: Files and folders it writes.
    """
    files = sorted(path for output in map(Path, outputs) for path in (output, *output.rglob("*")) if path.is_file())
    return {"command": command, "inputs": dict(inputs), "outputs": {path.as_posix(): sha256(path) for path in files}}


def write(stage: Stage) -> None:
    """Write the receipt of a stage that has finished, if its inputs were known when it was sent."""
    if stage.inputs is not None:
        text = json.dumps(content(stage.command, stage.inputs, stage.outputs), indent=1)
        write_text(_path(stage.name), text + "\n")


def read(stage: str) -> dict[str, Any] | None:
    """Return the receipt of a stage, or None if there is none, or a damaged one."""
    try:
        return json.loads(_path(stage).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def remove(stage: str) -> None:
    """Remove the receipt of a stage, which runs again or is known to DVC."""
    _path(stage).unlink(missing_ok=True)
