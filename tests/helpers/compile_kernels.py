"""Compile every Triton kernel for an H100, which needs no GPU.

With the argument `paper`: as 8 crops of 32 x 128 x 128 voxels launch them, for several numbers of channels.
"""

import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sparsessp.networks.fused import kernels, norm, upsampling
from sparsessp.networks.fused.launch import tile_of

TARGET = GPUTarget("cuda", 90, 32)
FLOAT32 = ("sums", "stats", "scale", "shift", "found", "out")  # tables; the others are features
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
    ("norm_gradient_apply", (), {"OTHER": True, **TILE}),
    ("upsample", (), {**TAPS, "SKIP": True, **TILE}),
    ("upsample", SMALLEST, {**TAPS, "SKIP": False, **TILE}),
    ("upsample", (*SMALLEST, "D", "H", "W"), {**dict.fromkeys(TAPS, 1), "SKIP": True, **TILE}),
    ("upsample_gradient", (), {**dict.fromkeys(TAPS, 4), **TILE}),
    ("upsample_gradient", SMALLEST, {**dict.fromkeys(TAPS, 4), **TILE}),
    ("upsample_gradient", (*SMALLEST, "D", "H", "W"), {**dict.fromkeys(TAPS, 1), **TILE}),
)


def paper_cases(channels):
    """Every kernel with the blocks of a feature of level 1 with these channels."""
    tile, group, _ = norm._sizes(8, channels, 32 * 128**2, 1 if channels == 1 else 16)
    smaller = tile_of(channels, upsampling._TILE)
    for name in ("norm_sums", "norm_apply", "norm_gradient_sums"):
        yield name, (), tile
    yield "norm_gradient_apply", (), {"OTHER": True, **tile}
    for name in ("norm_statistics", "norm_gradient_statistics"):
        yield name, (), group
    yield "upsample", (), {**TAPS, "SKIP": True, **smaller}
    yield "upsample_gradient", (), {**dict.fromkeys(TAPS, 4), **smaller}


def signature(kernel, ones, constants, features):
    """Type of each argument, and the constants by position."""
    types, values = {}, {}
    for position, name in enumerate(parameter.name for parameter in kernel.params):
        if name in constants or name in ones:
            types[name], values[(position,)] = "constexpr", constants.get(name, 1)
        elif name.endswith("_ptr"):
            types[name] = "*fp32" if name.startswith(FLOAT32) else features
        else:
            types[name] = "fp32" if name in ("eps", "slope") else "i32"
    return types, values


cases = [(*case, "*bf16") for case in CASES]
if sys.argv[1:] == ["paper"]:
    found = ((1, "*fp32"), (32, "*bf16"), (48, "*fp32"), (512, "*bf16"))
    cases = [(*case, features) for channels, features in found for case in paper_cases(channels)]
for name, ones, constants, features in cases:
    kernel = getattr(kernels, name)
    compiled = triton.compile(ASTSource(kernel, *signature(kernel, ones, constants, features)), target=TARGET)
    assert compiled.asm["cubin"], name
print(len(cases), "kernels compiled")
