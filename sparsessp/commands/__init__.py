"""Subcommands of `sparsessp`, one module each.

A module has `add(commands)`, which adds its parser and sets `run`. It imports torch and other slow packages only when
it runs, so that --help answers at once.
"""

import argparse

Subparsers = argparse._SubParsersAction


def add_command(commands: Subparsers, name: str, help_text: str, description: str | None) -> argparse.ArgumentParser:
    """Add the parser of one command."""
    return commands.add_parser(
        name,
        help=help_text,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
