"""Predict fluorescence from transmitted-light stacks in files.

Each input gets one output on the dense planes, with one channel per structure, and a quick-look PNG.
INPUT is an OME-TIFF, TIFF, CZI (extra `czi`) or OME-Zarr (extra `zarr`), or a folder of them.

Examples:
  sparsessp predict model.pt stack.ome.tiff --structures nucleolus,dna --output predicted
  sparsessp predict artifacts/runs/tgnet-3to2d-prefix-r2 stack.tif --spacing 0.58,0.29,0.29 --output predicted
  sparsessp predict model.pt plate/ --channel Brightfield --format zarr --dtype uint16 --output predicted
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sparsessp.commands import Subparsers, add_command, keys, voxel_size
from sparsessp.errors import SparseSSPError

if TYPE_CHECKING:
    from sparsessp.application.batch import Job

SUMMARY = "summary.csv"
_COLUMNS = ("input", "frames", "planes", "used", "predicted", "rows", "columns", "voxel_z_um", "seconds", "output")


def add(commands: Subparsers) -> None:
    """Add the command."""
    parser = add_command(commands, "predict", "fluorescence from transmitted-light stacks in files", __doc__)
    parser.add_argument("model", metavar="MODEL", help="model file, folder of a run, or URL of a model file")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", type=Path, help="image, or folder of images")
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder of the predictions")
    parser.add_argument("--structures", metavar="A,B", help="keys of the structures (default: all of the model)")
    parser.add_argument("--channel", metavar="NAME", help="name or index of the transmitted-light channel")
    parser.add_argument(
        "--spacing", metavar="Z,Y,X", help="voxel size in µm, or Z alone (default: from the file, where it is recorded)"
    )
    parser.add_argument("--axes", metavar="TCZYX", help="axes of TIFF files that do not name them, such as ZCYX")
    parser.add_argument("--scene", metavar="N", type=int, help="index of the scene in files with several")
    parser.add_argument("--force", action="store_true", help="accept a plane spacing the model was not trained for")
    parser.add_argument("--tta", action="store_true", help="average over flips and quarter turns: 8 times as long")
    parser.add_argument("--spread", action="store_true", help="with --tta, write its standard deviation as channels")
    parser.add_argument("--format", choices=("tiff", "zarr"), default="tiff", help="OME-TIFF or OME-Zarr 0.5")
    parser.add_argument("--dtype", choices=("float32", "uint16", "uint8"), default="float32", help="pixel type")
    parser.add_argument("--overwrite", action="store_true", help="replace existing predictions")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Predict all inputs.

    Raises:
        SparseSSPError: An input cannot be predicted.
    """
    from sparsessp.application.batch import BatchOptions, plan_jobs, run_jobs
    from sparsessp.application.model import load_model

    if options.spread and not options.tta:
        raise SparseSSPError("--spread is the standard deviation over the passes of --tta; give --tta, too")
    if options.output.exists() and not options.output.is_dir():
        raise SparseSSPError(f"--output {options.output} is a file; name a folder")
    chosen = BatchOptions(
        structures=keys(options.structures),
        spacing_um=voxel_size(options.spacing),
        **{key: getattr(options, key) for key in ("channel", "axes", "scene", "force", "tta", "spread")},
        **{key: getattr(options, key) for key in ("format", "dtype", "overwrite")},
    )
    model = load_model(options.model)
    model.tasks(chosen.structures)
    jobs = plan_jobs(model, options.inputs, options.output, chosen)
    for job in jobs:
        for note in job.fit.notes:
            print(f"{job.image.path}: {note}", file=sys.stderr)
    run_jobs(model, jobs, chosen, not options.quiet)
    done = [job for job in jobs if job.failure is None]
    _report(options.output, done)
    if len(done) < len(jobs) or not jobs:
        reasons = "\n".join(str(job.failure) for job in jobs if job.failure is not None)
        head = f"{len(jobs) - len(done)} of {len(jobs)} images were not predicted:\n" if len(jobs) > 1 else ""
        raise SparseSSPError(head + reasons)


def _report(folder: Path, jobs: "list[Job]") -> None:
    """Print the summary and write it to summary.csv."""
    if not jobs:
        return
    rows = [
        (
            job.image.path.name,
            job.image.frames,
            job.image.planes,
            job.fit.used,
            job.fit.planes,
            *job.fit.recorded,
            f"{job.fit.voxel_um[0]:.4g}",
            f"{job.seconds:.1f}",
            job.target.name,
        )
        for job in jobs
    ]
    lines = [_COLUMNS, *([str(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for note in dict.fromkeys(note for job in jobs for note in job.notes):
        print(note, file=sys.stderr)
    with (folder / SUMMARY).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
