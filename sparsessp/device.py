"""Where tensors are computed."""

import os

import torch

from sparsessp.errors import SparseSSPError


def default_device() -> torch.device:
    """Return the device named by SPARSESSP_DEVICE, else CUDA where there is one, else the CPU.

    Raises:
        SparseSSPError: The name is none that torch knows.
    """
    name = os.environ.get("SPARSESSP_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise SparseSSPError(f"SPARSESSP_DEVICE = {name!r} is no device; allowed: cpu, cuda, cuda:1, ...") from None
