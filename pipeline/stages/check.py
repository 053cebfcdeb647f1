"""Stage check: refuse params.yaml at once if any key or value in it is not allowed.

Example:
  python -m pipeline.stages.check
"""

import argparse
import sys
from collections.abc import Sequence

from pipeline.paths import CHECKED
from pipeline.plan.params import read_params
from pipeline.running import main
from sparsessp.support.files import write_text


def run(arguments: Sequence[str]) -> None:
    """Check, and write a file whose content never changes, so that no later stage re-runs because of it."""
    argparse.ArgumentParser("python -m pipeline.stages.check", description=__doc__).parse_args(arguments)
    read_params()
    write_text(CHECKED, "params.yaml holds no key or value that is not allowed\n")


if __name__ == "__main__":
    main(run, sys.argv[1:])
