"""Write params.yaml from conf/, as `dvc exp run -S OVERRIDE` does.

Examples:
  python -m pipeline.compose                        the committed defaults
  python -m pipeline.compose ratio=8 scale=smoke    with overrides
  python -m pipeline.compose 'ratio=[2,4,8]'        several ratios
  python -m pipeline.compose --check                is params.yaml what conf/ gives?
"""

import argparse
import difflib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dvc.utils.hydra import compose_and_dump
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from pipeline.plan.params import PARAMS, parse_params
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import main
from sparsessp.support.files import write_text

_CONF = Path(__file__).resolve().parent / "conf"


def compose(overrides: Sequence[str]) -> str:
    """Return params.yaml as composed from conf/ with these Hydra overrides.

    Raises:
        SparseSSPError: An override names no known key, or a value that is not allowed.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / PARAMS.name
        try:
            compose_and_dump(str(output), str(_CONF), None, "config", str(_CONF), list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise SparseSSPError(f"cannot compose params.yaml with {list(overrides)}: {error}") from None
        text = output.read_text(encoding="utf-8")
    parse_params(text, f"{PARAMS} as composed")
    return text


def run(arguments: Sequence[str]) -> None:
    """Compose, then write or compare."""
    parser = argparse.ArgumentParser("python -m pipeline.compose", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="Hydra override, such as ratio=8")
    parser.add_argument("--check", action="store_true", help="compare with params.yaml instead of writing it")
    options = parser.parse_args(arguments)
    composed = compose(options.overrides)
    if not options.check:
        write_text(PARAMS, composed)
        return
    have = PARAMS.read_text(encoding="utf-8") if PARAMS.exists() else ""
    difference = difflib.unified_diff(
        have.splitlines(), composed.splitlines(), str(PARAMS), "composed from pipeline/conf", lineterm=""
    )
    lines = list(difference)
    if lines:
        raise SparseSSPError("\n".join([*lines, "params.yaml is not what pipeline/conf composes"]))


if __name__ == "__main__":
    main(run, sys.argv[1:])
