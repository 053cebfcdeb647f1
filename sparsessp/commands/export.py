"""Export a trained model for other software.

onnx         one file; batch, rows and columns may vary
torchscript  one file for torch in Python or C++; rows and columns of a window
bioimageio   package for the bioimage.io model zoo, with test data from --sample

All take a z-scored view of one window and return the structures as channels. Needs the extra `export`
(pip install 'sparsessp[export,report]').

Examples:
  sparsessp export model.pt --format onnx
  sparsessp export artifacts/runs/tgnet-3to2d-prefix-r2 --format torchscript --structures dna,nucleolus --output dna.ts
  sparsessp export model.pt --format bioimageio --sample stack.ome.tiff
"""

import argparse
from pathlib import Path

from sparsessp.commands import Subparsers, add_command, keys, voxel_size
from sparsessp.errors import SparseSSPError

_SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts", "bioimageio": ".bioimageio.zip"}


def add(commands: Subparsers) -> None:
    """Add the command."""
    parser = add_command(commands, "export", "trained model as ONNX, TorchScript or bioimage.io package", __doc__)
    parser.add_argument("model", metavar="MODEL", help="model file, folder of a run, or URL of a model file")
    parser.add_argument("--format", choices=tuple(_SUFFIXES), required=True, help="file format")
    parser.add_argument("--output", metavar="FILE", type=Path, help="file to write (default: named after the model)")
    parser.add_argument("--structures", metavar="A,B", help="keys of the structures (default: all of the model)")
    parser.add_argument("--sample", metavar="STACK", type=Path, help="image for test data and cover; bioimageio only")
    parser.add_argument("--spacing", metavar="Z,Y,X", help="voxel size of the sample in µm (default: from the file)")
    parser.add_argument("--channel", metavar="NAME", help="transmitted-light channel of the sample")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Export the model.

    Raises:
        SparseSSPError: The model or sample cannot be read, the file exists, or an extra is not installed.
    """
    if (options.format == "bioimageio") != bool(options.sample):
        need = "needs --sample STACK, from which its test data are taken" if not options.sample else "takes no --sample"
        raise SparseSSPError(f"--format {options.format} {need}")
    from sparsessp.application.export.network import ExportedNetwork
    from sparsessp.application.model import load_model

    model = load_model(options.model, "cpu")
    target = options.output or Path(f"{model.card.network.name}{_SUFFIXES[options.format]}")
    if target.exists() and not options.overwrite:
        raise SparseSSPError(f"{target} exists; give --overwrite to replace it, or another --output")
    exported = ExportedNetwork(model.network, model.tasks(keys(options.structures)))
    window = model.card.windows.window
    if options.format == "onnx":
        from sparsessp.application.export.onnx import write_onnx

        write_onnx(exported, window, target)
    elif options.format == "torchscript":
        from sparsessp.application.export.torchscript import write_torchscript

        write_torchscript(exported, window, target)
    else:
        from sparsessp.application.batch import BatchOptions, open_job, read_view
        from sparsessp.application.export.bioimageio import write_package

        reading = BatchOptions(channel=options.channel, spacing_um=voxel_size(options.spacing))
        job = open_job(model, options.sample, options.sample, reading)
        with job.image:
            view = read_view(job, 0)
        write_package(exported, model.card, view, target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
