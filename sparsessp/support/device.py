"""The device that networks run on, and the precision of their convolutions."""

import os
import platform
from pathlib import Path

import torch

from sparsessp.config import ArchitectureSettings
from sparsessp.errors import SparseSSPError


def default_device() -> torch.device:
    """Return the device named by SPARSESSP_DEVICE, otherwise CUDA if available, otherwise the CPU.

    Raises:
        SparseSSPError: SPARSESSP_DEVICE is not a device of torch.
    """
    name = os.environ.get("SPARSESSP_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise SparseSSPError(f"SPARSESSP_DEVICE = {name!r} is not a device; allowed: cpu, cuda, cuda:1, ...") from None


def precision(settings: ArchitectureSettings, device: torch.device) -> str:
    """Return the data type of the convolutions: `bfloat16` for mixed precision on CUDA, else `float32`.

    Mixed precision is float32 on a CPU: torch 2.13 computes some of its bfloat16 convolutions there from
    uninitialised memory.
    """
    return "bfloat16" if settings.precision == "mixed" and device.type == "cuda" else "float32"


def autocast(settings: ArchitectureSettings, device: torch.device) -> torch.autocast:
    """Return the autocast context for a network with these settings; its weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(settings, device) == "bfloat16")


def machine(device: torch.device) -> str:
    """Return the model name of the device, a processor or GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """Return the model name of the processor, or its architecture if the system does not report one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def facts(settings: ArchitectureSettings) -> dict[str, str | int]:
    """Return the machine, device and precision that a network with these settings runs with by default."""
    device = default_device()
    return {
        "machine": machine(device),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": precision(settings, device),
    }
