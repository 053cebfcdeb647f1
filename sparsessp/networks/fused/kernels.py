"""Triton kernels on channels-last features, which they see as (B, V, C): samples, voxels and channels.

All arithmetic is float32, whatever the type of the features. C may be any number: blocks of channels have the next
power of two, BC, and the rest is masked. Sizes may be 1, which Triton turns into constants without methods.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(start, V, C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr):
    """Return offsets in one sample, (BV, BC), and which of them are inside."""
    v, c = start + tl.arange(0, BV), tl.arange(0, BC)
    return v.to(tl.int64)[:, None] * C + c[None, :], (v < V)[:, None] & (c < C)[None, :]


@triton.jit
def _channels(ptr, row, C: tl.constexpr, BC: tl.constexpr):
    """Return the values of a row of a table (rows, C), as (1, BC)."""
    c = tl.arange(0, BC)
    return tl.load(ptr + row * C + c, mask=c < C, other=0.0).to(tl.float32)[None, :]


@triton.jit
def _store_sums(ptr, b, first, second, C: tl.constexpr, BC: tl.constexpr):
    """Store two tiles, summed over voxels, in (B, programs, 2, C)."""
    c = tl.arange(0, BC)
    at = ptr + (b * tl.num_programs(0) + tl.program_id(0)) * 2 * C + c
    tl.store(at, tl.sum(first, 0), mask=c < C)
    tl.store(at + C, tl.sum(second, 0), mask=c < C)


@triton.jit
def norm_sums(x_ptr, sums_ptr, V, C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr):
    """Sums over voxels of x and x * x, per channel, about the first voxel of the sample.

    Without that pivot the variance of a channel with a large mean would be lost to rounding.
    """
    b = tl.program_id(1)
    x_ptr += b.to(tl.int64) * V * C
    pivot = _channels(x_ptr, 0, C, BC)
    first = tl.zeros([BV, BC], tl.float32)
    second = tl.zeros([BV, BC], tl.float32)
    for start in range(tl.program_id(0) * BV, V, tl.num_programs(0) * BV):
        at, inside = _tile(start, V, C, BC, BV)
        x = tl.where(inside, tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32) - pivot, 0.0)
        first += x
        second += x * x
    _store_sums(sums_ptr, b, first, second, C, BC)


@triton.jit
def _group(sums_ptr, P, C: tl.constexpr, PER: tl.constexpr, BPER: tl.constexpr, BP: tl.constexpr):
    """Return sample, channels of one group, which of them exist, and the two sums of each over all P programs.

    BP programs are read at a time, so that the sums stay in registers whatever the size of a group.
    """
    b, k = tl.program_id(0), tl.arange(0, BPER)
    c = tl.program_id(1) * PER + k
    first = tl.zeros([BP, BPER], tl.float32)
    second = tl.zeros([BP, BPER], tl.float32)
    for start in range(0, P, BP):
        p = start + tl.arange(0, BP)
        inside = (p < P)[:, None] & (k < PER)[None, :]
        at = sums_ptr + (b * P + p)[:, None] * 2 * C + c[None, :]
        first += tl.load(at, mask=inside, other=0.0)
        second += tl.load(at + C, mask=inside, other=0.0)
    return b, c, k < PER, tl.sum(first, 0), tl.sum(second, 0)


@triton.jit
def norm_statistics(
    x_ptr, sums_ptr, scale_ptr, out_ptr, V, P, scale_stride, eps,
    C: tl.constexpr, PER: tl.constexpr, BPER: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """Mean, 1 / standard deviation and scale / standard deviation of each channel's group, (3, B, C)."""
    b, c, real, first, second = _group(sums_ptr, P, C, PER, BPER, BP)
    pivot = tl.load(x_ptr + b.to(tl.int64) * V * C + c, mask=real, other=0.0).to(tl.float32)
    shifted = first / V
    means = tl.where(real, pivot + shifted, 0.0)
    mean = tl.sum(means, 0) / PER
    spread = tl.where(real, second / V - shifted * shifted + (means - mean) * (means - mean), 0.0)
    deviation = 1.0 / tl.sqrt(tl.maximum(tl.sum(spread, 0) / PER, 0.0) + eps)
    scale = tl.load(scale_ptr + b * scale_stride + c, mask=real, other=0.0)
    at, step = out_ptr + b * C + c, tl.num_programs(0) * C
    tl.store(at, mean + 0.0 * scale, mask=real)
    tl.store(at + step, deviation + 0.0 * scale, mask=real)
    tl.store(at + 2 * step, deviation * scale, mask=real)


@triton.jit
def norm_apply(
    x_ptr, stats_ptr, shift_ptr, y_ptr, V, B, shift_stride, slope,
    C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """Normalise, scale, shift and apply a leaky ReLU."""
    b = tl.program_id(1)
    at, inside = _tile(tl.program_id(0) * BV, V, C, BC, BV)
    at += b.to(tl.int64) * V * C
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    shift = _channels(shift_ptr + b * shift_stride, 0, C, BC)
    z = (x - _channels(stats_ptr, b, C, BC)) * _channels(stats_ptr, 2 * B + b, C, BC) + shift
    tl.store(y_ptr + at, tl.where(z > 0, z, z * slope).to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _before_activation(
    x_ptr, dy_ptr, stats_ptr, shift_ptr, start, V, B, shift_stride, slope,
    C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """Return x minus its mean and the gradient before the activation, recomputed from x; offsets and mask."""
    b = tl.program_id(1)
    at, inside = _tile(start, V, C, BC, BV)
    at += b.to(tl.int64) * V * C
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32) - _channels(stats_ptr, b, C, BC)
    dy = tl.load(dy_ptr + at, mask=inside, other=0.0).to(tl.float32)
    shift = _channels(shift_ptr + b * shift_stride, 0, C, BC)
    z = x * _channels(stats_ptr, 2 * B + b, C, BC) + shift
    return x, tl.where(z > 0, dy, dy * slope), at, inside


@triton.jit
def norm_gradient_sums(
    x_ptr, dy_ptr, stats_ptr, shift_ptr, sums_ptr, V, B, shift_stride, slope,
    C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """Sums over voxels of dz and dz * (x - mean), per channel."""
    first = tl.zeros([BV, BC], tl.float32)
    second = tl.zeros([BV, BC], tl.float32)
    for start in range(tl.program_id(0) * BV, V, tl.num_programs(0) * BV):
        x, dz, _, _ = _before_activation(
            x_ptr, dy_ptr, stats_ptr, shift_ptr, start, V, B, shift_stride, slope, C, BC, BV
        )
        first += dz
        second += dz * x
    _store_sums(sums_ptr, tl.program_id(1), first, second, C, BC)


@triton.jit
def norm_gradient_statistics(
    sums_ptr, stats_ptr, scale_ptr, out_ptr, V, P, scale_stride,
    C: tl.constexpr, PER: tl.constexpr, BPER: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """Gradients of scale and shift per sample, and the offset and slope in x of its gradient, (4, B, C)."""
    b, c, real, dshift, second = _group(sums_ptr, P, C, PER, BPER, BP)
    step = tl.num_programs(0) * C
    deviation = tl.load(stats_ptr + step + b * C + c, mask=real, other=0.0)
    scale = tl.load(scale_ptr + b * scale_stride + c, mask=real, other=0.0)
    dscale = second * deviation
    voxels = V * 1.0 * PER
    at = out_ptr + b * C + c
    tl.store(at, dscale, mask=real)
    tl.store(at + step, dshift, mask=real)
    tl.store(at + 2 * step, -deviation * tl.sum(scale * dshift, 0) / voxels, mask=real)
    tl.store(at + 3 * step, -deviation * deviation * tl.sum(scale * dscale, 0) / voxels, mask=real)


@triton.jit
def norm_gradient_apply(
    x_ptr, dy_ptr, stats_ptr, shift_ptr, found_ptr, other_ptr, dx_ptr, V, B, shift_stride, slope,
    OTHER: tl.constexpr, C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """Gradient of x, plus another gradient of x if there is one."""
    b = tl.program_id(1)
    x, dz, at, inside = _before_activation(
        x_ptr, dy_ptr, stats_ptr, shift_ptr, tl.program_id(0) * BV, V, B, shift_stride, slope, C, BC, BV
    )
    dx = dz * _channels(stats_ptr, 2 * B + b, C, BC) + _channels(found_ptr, 2 * B + b, C, BC)
    dx += x * _channels(found_ptr, 3 * B + b, C, BC)
    if OTHER:
        dx += tl.load(other_ptr + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _place(start, H, W, BV: tl.constexpr):
    """Return plane, row and column of each voxel of a block."""
    v = start + tl.arange(0, BV)
    return v // (H * W), v // W % H, v % W


@triton.jit
def _source(o, size, full):
    """Return the lower input position of an output position along one axis, and the weight of the upper one.

    Args:
        o: Output positions.
        size: Input positions in all.
        full: Output positions in all.
    """
    place = tl.maximum((o + 0.5) * (size * 1.0 / full) - 0.5, 0.0)
    lower = tl.minimum(place.to(tl.int32), size - 1)
    return lower, place - lower


@triton.jit
def _forward_tap(o, k: tl.constexpr, K: tl.constexpr, size, full):
    """Return input position and weight of tap k of K of each output position."""
    if K == 1:  # the axis keeps its size
        position, weight = o, o * 0.0 + 1.0
    else:
        position, weight = _source(o, size, full)
        if k == 0:
            weight = 1.0 - weight
        else:
            position = tl.minimum(position + 1, size - 1)
    return position, weight


@triton.jit
def _backward_tap(i, k, K: tl.constexpr, size, full):
    """Return output position and weight of tap k of K of each input position; the weight is 0 outside."""
    if K == 1:
        o, weight = i, i * 0.0 + 1.0
    else:
        o = tl.floor((i - 0.5) * (full * 1.0 / size) - 0.5).to(tl.int32) + 1 + k
        lower, upper_weight = _source(o, size, full)
        upper = tl.minimum(lower + 1, size - 1)
        weight = tl.where(lower == i, 1.0 - upper_weight, 0.0) + tl.where(upper == i, upper_weight, 0.0)
        real = (o >= 0) & (o < full)
        o, weight = tl.where(real, o, 0), tl.where(real, weight, 0.0)
    return o, weight


@triton.jit
def upsample(
    x_ptr, skip_ptr, y_ptr, d, h, w, D, H, W,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SKIP: tl.constexpr,
    C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """Upsample linearly from (d, h, w) to (D, H, W), and add the skip if there is one; K taps per axis."""
    b, V = tl.program_id(1).to(tl.int64), D * H * W
    at, inside = _tile(tl.program_id(0) * BV, V, C, BC, BV)
    at += b * V * C
    z, y, x = _place(tl.program_id(0) * BV, H, W, BV)
    c = tl.arange(0, BC)[None, :]
    total = tl.zeros([BV, BC], tl.float32)
    for kz in tl.static_range(KD):
        iz, wz = _forward_tap(z, kz, KD, d, D)
        for ky in tl.static_range(KH):
            iy, wy = _forward_tap(y, ky, KH, h, H)
            for kx in tl.static_range(KW):
                ix, wx = _forward_tap(x, kx, KW, w, W)
                voxel = (b * d + iz) * h * w + iy * w + ix
                part = tl.load(x_ptr + voxel[:, None] * C + c, mask=inside, other=0.0).to(tl.float32)
                total += (wz * wy * wx)[:, None] * part
    if SKIP:
        total += tl.load(skip_ptr + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(y_ptr + at, total.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def upsample_gradient(
    dy_ptr, dx_ptr, d, h, w, D, H, W,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    C: tl.constexpr, BC: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """Gradient of the input of `upsample`: each input voxel collects what the outputs around it took."""
    b, v = tl.program_id(1).to(tl.int64), d * h * w
    at, inside = _tile(tl.program_id(0) * BV, v, C, BC, BV)
    z, y, x = _place(tl.program_id(0) * BV, h, w, BV)
    c = tl.arange(0, BC)[None, :]
    total = tl.zeros([BV, BC], tl.float32)
    for kz in range(KD):
        oz, wz = _backward_tap(z, kz, KD, d, D)
        for ky in range(KH):
            oy, wy = _backward_tap(y, ky, KH, h, H)
            for kx in tl.static_range(KW):
                ox, wx = _backward_tap(x, kx, KW, w, W)
                voxel = (b * D + oz) * H * W + oy * W + ox
                part = tl.load(dy_ptr + voxel[:, None] * C + c, mask=inside, other=0.0).to(tl.float32)
                total += (wz * wy * wx)[:, None] * part
    tl.store(dx_ptr + b * v * C + at, total.to(dx_ptr.dtype.element_ty), mask=inside)
