"""This checkout as a user has it: commands in it, and clones of it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = str(Path(sys.executable).parent)


def sh(folder, *command, ok=True, **environment):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert not ok or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def make_clone(folder):
    """Clone this checkout with its uncommitted changes."""
    sh(ROOT, "git", "clone", "--quiet", ".", str(folder))
    for line in sh(ROOT, "git", "status", "--porcelain", "--no-renames", "--untracked-files=all").stdout.splitlines():
        source, target = ROOT / line[3:], folder / line[3:]
        target.unlink(missing_ok=True)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return folder
