"""Stage fetch: acquire and prepare the volumes of a dataset, one OME-TIFF each.

Examples:
  python -m pipeline.stages.fetch --kind microscope --catalogue data/synthetic.yaml --size small
  python -m pipeline.stages.fetch --kind archives --catalogue data/allencell.yaml --structures nucleolus --accept_terms
  python -m pipeline.stages.fetch --kind folder --csv images/images.csv --depth 32 --patch 64

`--kind archives --help` lists the options of archives, `--kind folder --help` those of your own images.
docs/environment.md lists the environment variables.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.paths import VOLUMES, scratch
from pipeline.plan.data import KINDS, ArchivesSource, FolderSource, MicroscopeSource
from pipeline.running import main
from sparsessp.data.allencell import dataset as allencell
from sparsessp.data.allencell.settings import AcquisitionSettings
from sparsessp.data.folder import dataset as folder
from sparsessp.data.microscope import dataset as microscope
from sparsessp.data.microscope.catalogue import load_catalogue
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import parser, settings


def run(arguments: Sequence[str]) -> None:
    """Acquire the volumes from the source of the given kind."""
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--kind", choices=KINDS, default="microscope")
    model = KINDS[which.parse_known_args(arguments)[0].kind]
    chosen = settings(model, parser("pipeline.stages.fetch", __doc__, model).parse_args(arguments))
    if isinstance(chosen, MicroscopeSource):
        microscope.acquire(load_catalogue(Path(chosen.catalogue)), chosen.size, chosen.structures, VOLUMES)
        return
    if isinstance(chosen, FolderSource):
        folder.acquire(Path(chosen.csv), chosen.needs, VOLUMES)
        return
    allencell.acquire(
        Path(chosen.catalogue), chosen.structures, VOLUMES, scratch() / "allencell", _here(chosen), _downloads()
    )


def _here(chosen: ArchivesSource) -> AcquisitionSettings:
    """Return the settings, overridden by the environment variables."""
    values = {key: getattr(chosen, key) for key in AcquisitionSettings.model_fields}
    for key in ("archive_base", "list_base"):
        name = f"SPARSESSP_{key.upper()}"
        if os.environ.get(name):
            AcquisitionSettings.load({key: os.environ[name]}, name)  # an error names the variable
            values[key] = os.environ[name]
    return AcquisitionSettings.load(values, "arguments")


def _downloads() -> int:
    text = os.environ.get("SPARSESSP_DOWNLOADS", "1")
    if not text.isdigit() or int(text) < 1:
        raise SparseSSPError(f"SPARSESSP_DOWNLOADS = {text!r}; allowed: 1 or more")
    return int(text)


if __name__ == "__main__":
    main(run, sys.argv[1:])
