"""Processes that train one network together, started by torchrun.

`python -m pipeline.ranks OPTIONS` is torchrun, made to end with the process that started it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

from sparsessp.errors import SparseSSPError
from sparsessp.support.processes import end_with_parent

RANKS = "SPARSESSP_RANKS"
_KEPT = 2**16  # bytes of the last messages, in which the error is found
_ERROR = re.compile(r"(?:^|[\r\n])error: ([^\r\n]+)")


def wanted_ranks() -> int:
    """Return the number of processes of a training, named by SPARSESSP_RANKS; the default is 1.

    Raises:
        SparseSSPError: It is not a number from 1.
    """
    text = os.environ.get(RANKS) or "1"
    if not text.isdecimal() or int(text) < 1:
        raise SparseSSPError(f"{RANKS} = {text!r}; allowed: numbers from 1")
    return int(text)


def launch(module: str, arguments: Sequence[str], count: int) -> None:
    """Run a stage's script in `count` processes on this machine, until all of them have ended.

    Raises:
        SparseSSPError: One of them failed, with its message; the others are stopped.
    """
    device = os.environ.get("SPARSESSP_DEVICE", "")
    if ":" in device:
        raise SparseSSPError(
            f"SPARSESSP_DEVICE = {device!r} with {RANKS} = {count}: each process needs a GPU; allowed: cuda, cpu. "
            "CUDA_VISIBLE_DEVICES selects the GPUs"
        )
    torchrun = [sys.executable, "-m", "pipeline.ranks", "--standalone", f"--nproc-per-node={count}"]
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}  # its lock is held here
    with subprocess.Popen([*torchrun, "-m", module, *arguments], env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            said = _forwarded(process.stderr)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        found = _ERROR.search(said)
        raise SparseSSPError(found[1] if found else f"one of the {count} processes was killed or failed")


def _forwarded(stream: IO[bytes]) -> str:
    """Copy a stream to stderr as it arrives, and return its end."""
    end = b""
    while chunk := os.read(stream.fileno(), _KEPT):
        os.write(2, chunk)
        end = (end + chunk)[-_KEPT:]
    return end.decode(errors="replace")


if __name__ == "__main__":
    end_with_parent()
    from torch.distributed.run import main

    main(sys.argv[1:])
