"""SparseSSP: dense 3D fluorescence from sparse transmitted-light slices.

`sparsessp COMMAND --help` explains a command and shows examples.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from sparsessp import __version__
from sparsessp.support import command_line
from sparsessp.support.processes import keep_imported_objects

COMMANDS = ("describe", "export", "inspect", "plan_acquisition", "predict")  # modules of sparsessp.commands


def run(argv: Sequence[str]) -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser("sparsessp", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"sparsessp.commands.{name}").add(commands)
    options = parser.parse_args(argv)
    options.run(options)


def main() -> None:
    """Entry point of the console script."""
    keep_imported_objects()
    command_line.main(run, sys.argv[1:])


if __name__ == "__main__":
    main()
