"""Stage code: list the source files of every other stage and their checksums.

Each stage depends on its list instead of on dozens of files. A changed file re-runs exactly the stages that import
it, and dvc.yaml and dvc.lock, which DVC rewrites after every stage, stay small.

Example:
  python -m pipeline.stages.code
"""

import argparse
import sys
from collections.abc import Sequence

from pipeline.paths import CODE
from pipeline.running import main
from pipeline.sources import ROOT, sources, stages
from sparsessp.support.files import sha256, write_text


def run(arguments: Sequence[str]) -> None:
    """Write the list of each stage."""
    argparse.ArgumentParser("python -m pipeline.stages.code", description=__doc__).parse_args(arguments)
    for stage in stages():
        if stage != "code":
            lines = [f"{sha256(ROOT / path)}  {path.as_posix()}\n" for path in sources(stage)]
            write_text(CODE / f"{stage}.txt", "".join(lines))


if __name__ == "__main__":
    main(run, sys.argv[1:])
