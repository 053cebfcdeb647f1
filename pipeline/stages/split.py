"""Stage split: assign the prepared volumes to training, validation and test.

Data with image lists are split by them, and the variance of their test targets is compared with the
paper's, which tells whether they are prepared as the paper's are.

Example:
  python -m pipeline.stages.split --rule repmode
"""

import sys
from collections.abc import Sequence

from pipeline.paths import SPLIT, VOLUMES
from pipeline.plan.data import SplitSettings
from pipeline.running import main
from sparsessp.data.allencell.dataset import LISTS
from sparsessp.data.allencell.fingerprint import describe, fingerprint
from sparsessp.data.allencell.lists import read_lists
from sparsessp.data.samples import read_manifest, write_table
from sparsessp.data.splits import assign, split
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import parser, settings


def run(arguments: Sequence[str]) -> None:
    """Split the manifest."""
    chosen = settings(SplitSettings, parser("pipeline.stages.split", __doc__, SplitSettings).parse_args(arguments))
    manifest, lists = read_manifest(VOLUMES), read_lists(VOLUMES / LISTS)
    parts = assign(manifest, lists, chosen.rule) if lists else split(manifest, chosen.rule)
    if chosen.strict and not lists:
        raise SparseSSPError(
            "strict = True: the paper does not use this dataset, so there is nothing to compare with; allowed: False"
        )
    if lists:
        found = fingerprint(manifest.merge(parts[["volume", "part"]], on="volume").query("part == 'test'"))
        print(describe(found))
        outside = found.loc[~found["within"], "structure"]
        if chosen.strict and len(outside):
            raise SparseSSPError(
                f"the test targets of {', '.join(outside)} are not as the paper's; see above, or set strict to false"
            )
    write_table(SPLIT, parts)


if __name__ == "__main__":
    main(run, sys.argv[1:])
