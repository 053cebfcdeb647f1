"""TorchScript files, which torch reads without this package, also from C++."""

import warnings
from pathlib import Path

import torch

from sparsessp.application.export.network import ExportedNetwork, example_view
from sparsessp.support.files import atomic_write


def write_torchscript(exported: ExportedNetwork, window: int, path: Path) -> None:
    """Write the traced network; the batch may vary, rows and columns are those of a window.

    Args:
        exported: Network, on the CPU.
        window: Rows and columns.
        path: File ending in .pt.
    """
    with warnings.catch_warnings(), torch.no_grad(), atomic_write(path) as partial:
        # Traced sizes become constants, which is intended; and torch recommends torch.export instead.
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(exported, example_view(exported, window), check_trace=False), str(partial))
