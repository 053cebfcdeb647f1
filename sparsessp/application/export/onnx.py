"""ONNX files. Needs the extra `export`."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from sparsessp.application.export.network import ExportedNetwork, example_view
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import atomic_write

OPSET = 20
# Torch names values after operations, of which one is "view".
INPUT, OUTPUT = "transmitted_light", "fluorescence"


def write_onnx(exported: ExportedNetwork, window: int, path: Path) -> None:
    """Write one file that holds graph and weights; batch, rows and columns may vary.

    Args:
        exported: Network, on the CPU.
        window: Rows and columns of the example that the network is traced with.
        path: File ending in .onnx.

    Raises:
        SparseSSPError: The extra `export` is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (used by torch)
    except ImportError as error:
        raise SparseSSPError(f"{error.name} is not installed; run: pip install 'sparsessp[export]'") from None
    free = torch.export.Dim.DYNAMIC
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            exported,
            (example_view(exported, window),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"view_B1DHW": {0: free, 3: free, 4: free}},
            verbose=False,
        )
    assert program is not None  # it is only None if a file is given
    with atomic_write(path) as partial:
        onnx.save(program.model_proto, str(partial))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's warnings about its own deprecated calls, and that torchvision is not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logger.setLevel(logging.ERROR)
            yield
    finally:
        logger.setLevel(level)
