"""Stage check: validate params.yaml before any other stage runs.

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
    """Validate params.yaml and write a file whose content never changes, so that it re-runs no later stage."""
    argparse.ArgumentParser("python -m pipeline.stages.check", description=__doc__).parse_args(arguments)
    read_params()
    write_text(CHECKED, "params.yaml is valid\n")


if __name__ == "__main__":
    main(run, sys.argv[1:])
