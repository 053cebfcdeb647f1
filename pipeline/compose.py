"""Write params.yaml from pipeline/conf with the given overrides, and save the overrides for later runs.

They are saved in pipeline/conf/choice.yaml, which `dvc exp run -S OVERRIDE` reads too; commit both files.

dvc.lock then keeps only what the new plan needs, because DVC rewrites it after every stage; results of earlier plans
stay in DVC's cache, from which `dvc repro` takes them.

Examples:
  python -m pipeline.compose                        the defaults
  python -m pipeline.compose ratio=8 scale=smoke    with overrides
  python -m pipeline.compose 'ratio=[2,4,8]'        several ratios
  python -m pipeline.compose --check                check that params.yaml matches pipeline/conf
"""

import difflib
import sys
from collections.abc import Sequence

from pipeline.commands import command
from pipeline.plan.composing import choose, compose
from pipeline.plan.params import PARAMS
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import main


def run(arguments: Sequence[str]) -> None:
    """Compose, then write or compare."""
    parser = command("compose", __doc__)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="Hydra override, such as ratio=8")
    parser.add_argument("--check", action="store_true", help="compare with params.yaml instead of writing it")
    options = parser.parse_args(arguments)
    if not options.check:
        choose(options.overrides)
        return
    composed = compose(options.overrides)
    have = PARAMS.read_text(encoding="utf-8") if PARAMS.exists() else ""
    difference = difflib.unified_diff(
        have.splitlines(), composed.splitlines(), str(PARAMS), "composed from pipeline/conf", lineterm=""
    )
    lines = list(difference)
    if lines:
        raise SparseSSPError(
            "\n".join([*lines, "params.yaml does not match pipeline/conf; run `python -m pipeline.compose`"])
        )


if __name__ == "__main__":
    main(run, sys.argv[1:])
