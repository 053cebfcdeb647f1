"""Describe SparseSSP networks: parameters, GMACs and shapes.

Examples:
  sparsessp describe
  sparsessp describe --method repmode --topology 3d --repmode_kernel 3
  sparsessp describe --method dodnet --topology 3to2d --interpolation none --ratio 8 --json
"""

import argparse
import json
import sys
from collections.abc import Sequence

from sparsessp import __version__
from sparsessp.config import NetworkSettings
from sparsessp.support import command_line

_DEFAULTS = {"method": "tgnet", "topology": "3to2d"}


def _describe(options: argparse.Namespace) -> None:
    """Print what one network costs and what shapes its parts have."""
    # torch takes a second to import; --help need not wait for it.
    from sparsessp.costs.counted import describe

    for key, value in _DEFAULTS.items():
        setattr(options, key, getattr(options, key) or value)
    facts = describe(command_line.settings(NetworkSettings, options))
    print(json.dumps(facts, indent=1) if options.json else _text(facts))


def _text(facts: dict) -> str:
    each = f", for each of {facts['networks']} networks" if facts["networks"] > 1 else ""
    lines = [
        facts["name"],
        f"parameters  {facts['parameters']:,}{each}",
        f"GMACs       {facts['gmacs']:.2f} for one patch of {' x '.join(map(str, facts['patch']))} voxels",
        "",
        f"{'part':<16}channels x planes x rows x columns (2D parts have no planes)",
    ]
    lines += [f"{row['part']:<16}{' x '.join(map(str, row['shape']))}" for row in facts["shapes"]]
    return "\n".join(lines)


def run(argv: Sequence[str]) -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser("sparsessp", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "describe",
        help="parameters, GMACs and shapes of one network",
        description=f"Parameters, GMACs and shapes of one network (defaults: {_DEFAULTS}).",
        allow_abbrev=False,
    )
    command_line.add_settings(command, NetworkSettings)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_describe)
    options = parser.parse_args(argv)
    options.run(options)


def main() -> None:
    """Entry point of the console script."""
    command_line.main(run, sys.argv[1:])


if __name__ == "__main__":
    main()
