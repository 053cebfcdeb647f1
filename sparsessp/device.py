"""Where tensors are computed, and in which numbers."""

import os
import platform
from pathlib import Path

import torch

from sparsessp.config import ArchitectureSettings
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


def precision(settings: ArchitectureSettings, device: torch.device, gradients: bool = False) -> str:
    """Name the numbers that convolutions are computed in: `float32` or `bfloat16`.

    Args:
        settings: With the precision that is wanted.
        device: Where they are computed.
        gradients: Whether backward too. On a CPU these are float32: torch 2.13's weight gradient of a bfloat16
            convolution reads memory that nobody wrote, so that every few hundred steps one is nan. RepMode
            multiplies in bfloat16 where that is sound (`convolution.convolve`).
    """
    if settings.precision == "float32":
        return "float32"
    if device.type == "cuda":
        return "bfloat16"
    return "bfloat16" if half_able(settings) and not gradients else "float32"


def half_able(settings: ArchitectureSettings) -> bool:
    """Whether mixed precision is wanted, and this machine's CPU multiplies in bfloat16; others emulate it, slowly."""
    capabilities = torch.cpu.get_capabilities()
    able = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return able and settings.precision == "mixed"


def autocast(settings: ArchitectureSettings, device: torch.device, gradients: bool = False) -> torch.autocast:
    """Return the context in which a network of these settings is computed, as by `precision`; weights are float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(settings, device, gradients) == "bfloat16")


def machine(device: torch.device) -> str:
    """Name the processor or GPU that a device is."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """Name the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def facts(settings: ArchitectureSettings) -> dict[str, str | int]:
    """Say where and in what a network of these settings is computed on the default device."""
    device = default_device()
    training, prediction = (precision(settings, device, gradients) for gradients in (True, False))
    return {
        "machine": machine(device),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": training
        if training == prediction
        else f"{training} in training (of RepMode {prediction} in part), {prediction} in prediction",
    }
