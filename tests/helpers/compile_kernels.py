"""Compile every Triton kernel for an H100, which needs no GPU."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sparsessp.networks.fused import kernels

TARGET = GPUTarget("cuda", 90, 32)
FLOAT32 = ("sums", "stats", "scale", "shift", "found", "out")  # tables; features are bfloat16
TILE = {"C": 6, "BC": 8, "BV": 16}
GROUP = {"C": 6, "PER": 3, "BPER": 4, "BP": 2}
TAPS = dict.fromkeys(("KD", "KH", "KW"), 2)
SMALLEST = ("d", "h", "w")
CASES = (
    ("norm_sums", (), TILE),
    ("norm_statistics", ("P", "scale_stride"), GROUP),
    ("norm_apply", ("B", "shift_stride"), TILE),
    ("norm_gradient_sums", ("B", "shift_stride"), TILE),
    ("norm_gradient_statistics", ("P", "scale_stride"), GROUP),
    ("norm_gradient_apply", (), TILE),
    ("upsample", (), {**TAPS, "SKIP": True, **TILE}),
    ("upsample", SMALLEST, {**TAPS, "SKIP": False, **TILE}),
    ("upsample", (*SMALLEST, "D", "H", "W"), {**dict.fromkeys(TAPS, 1), "SKIP": True, **TILE}),
    ("upsample_gradient", (), {**dict.fromkeys(TAPS, 4), **TILE}),
    ("upsample_gradient", SMALLEST, {**dict.fromkeys(TAPS, 4), **TILE}),
    ("upsample_gradient", (*SMALLEST, "D", "H", "W"), {**dict.fromkeys(TAPS, 1), **TILE}),
)


def signature(kernel, ones, constants):
    """Type of each argument, and the constants by position."""
    types, values = {}, {}
    for position, name in enumerate(parameter.name for parameter in kernel.params):
        if name in constants or name in ones:
            types[name], values[(position,)] = "constexpr", constants.get(name, 1)
        elif name.endswith("_ptr"):
            types[name] = "*fp32" if name.startswith(FLOAT32) else "*bf16"
        else:
            types[name] = "fp32" if name in ("eps", "slope") else "i32"
    return types, values


for name, ones, constants in CASES:
    kernel = getattr(kernels, name)
    compiled = triton.compile(ASTSource(kernel, *signature(kernel, ones, constants)), target=TARGET)
    assert compiled.asm["cubin"], name
print(len(CASES), "kernels compiled")
