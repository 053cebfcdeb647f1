"""Argument parsers of the commands that users run."""

import argparse

from pipeline.environment import epilog


def command(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of `python -m pipeline.MODULE`; its help ends with the environment variables."""
    return argparse.ArgumentParser(
        f"python -m pipeline.{module}",
        description=description,
        epilog=epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
