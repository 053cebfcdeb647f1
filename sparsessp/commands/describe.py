"""Describe a network: parameters, GMACs and shapes.

Examples:
  sparsessp describe
  sparsessp describe --method repmode --topology 3d --repmode_kernel 3
  sparsessp describe --method dodnet --topology 3to2d --interpolation none --ratio 8 --json
"""

import argparse
import json

from sparsessp.commands import Subparsers, add_command
from sparsessp.config import NetworkSettings
from sparsessp.support import command_line

_DEFAULTS = {"method": "tgnet", "topology": "3to2d"}


def add(commands: Subparsers) -> None:
    """Add the command."""
    parser = add_command(commands, "describe", "parameters, GMACs and shapes of one network", __doc__)
    parser.epilog = "defaults: " + ", ".join(f"--{key} {value}" for key, value in _DEFAULTS.items())
    command_line.add_settings(parser, NetworkSettings)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what one network costs and what shapes its parts have."""
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
