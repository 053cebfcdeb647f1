"""Stage split: assign the prepared volumes to training, validation and test.

A dataset with image lists is split by these lists, and images whose owner gives their parts as given. The variance of
the test targets of image lists is compared with the paper's, to check that the volumes were prepared in the same way.

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
from sparsessp.schema import PART_COLUMN
from sparsessp.support.command_line import parser, settings


def run(arguments: Sequence[str]) -> None:
    """Assign the volumes of the manifest to the three parts."""
    chosen = settings(SplitSettings, parser("pipeline.stages.split", __doc__, SplitSettings).parse_args(arguments))
    manifest, lists = read_manifest(VOLUMES), read_lists(VOLUMES / LISTS)
    if PART_COLUMN in manifest:
        parts = manifest[["volume", "structure", PART_COLUMN]]
    else:
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
                f"the variance of the test targets of {', '.join(outside)} differs from the paper's (see above); to "
                "continue, set strict to false"
            )
    write_table(SPLIT, parts)


if __name__ == "__main__":
    main(run, sys.argv[1:])
