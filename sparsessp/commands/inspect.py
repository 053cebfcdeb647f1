"""Show the card of a trained model: structures, voxel size, scores, training data and settings.

Examples:
  sparsessp inspect artifacts/models/tgnet-3to2d-prefix-r2.pt
  sparsessp inspect artifacts/runs/tgnet-3to2d-prefix-r2 --json
"""

import argparse
import json

from sparsessp.commands import Subparsers, add_command


def add(commands: Subparsers) -> None:
    """Add the command."""
    parser = add_command(commands, "inspect", "model card of a trained model", __doc__)
    parser.add_argument("model", metavar="MODEL", help="model file, folder of a run, or URL of a model file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the card."""
    from sparsessp.application.card import ModelCard
    from sparsessp.application.model import read_content

    path, content = read_content(options.model)
    card = ModelCard.of(content, str(path))
    print(json.dumps(card.as_dict(), indent=1) if options.json else card.markdown(), end="\n" if options.json else "")
