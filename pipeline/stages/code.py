"""Stage code: list the source files of every other stage and their checksums.

Each stage depends on its list instead of on dozens of files; a training and an evaluation on that of their method and
backbone. A changed file re-runs exactly the stages that import it, and dvc.yaml and dvc.lock, which DVC rewrites after
every stage, stay small.

Example:
  python -m pipeline.stages.code
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path

from pipeline.paths import CODE
from pipeline.running import main
from pipeline.sources import PER_EXPERIMENT, ROOT, sources, stages
from sparsessp.config import BACKBONES, METHODS
from sparsessp.support.files import sha256, write_text


def run(arguments: Sequence[str]) -> None:
    """Write the list of each stage."""
    argparse.ArgumentParser("python -m pipeline.stages.code", description=__doc__).parse_args(arguments)
    checksum = cache(sha256)
    for name, paths in _lists():
        write_text(CODE / name, "".join(f"{checksum(ROOT / path)}  {path.as_posix()}\n" for path in paths))


def _lists() -> Iterator[tuple[str, list[Path]]]:
    """Yield the name of each list and its source files."""
    for stage in stages():
        if stage in PER_EXPERIMENT:
            for method, backbone in product(METHODS, BACKBONES):
                yield f"{stage}/{method}-{backbone}.txt", sources(stage, method, backbone)
        elif stage != "code":
            yield f"{stage}.txt", sources(stage)


if __name__ == "__main__":
    main(run, sys.argv[1:])
