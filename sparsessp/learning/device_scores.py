"""Scores of predictions that are tensors, computed on the device where they are."""

import numpy as np
import torch
from torch import Tensor

from sparsessp.data.volumes import Stack
from sparsessp.errors import SparseSSPError
from sparsessp.learning.metrics import Scores, check_shapes, score_planes

_AT_ONCE = 2**24  # voxels, which take 1 GB of temporary memory


def score_tensor(prediction: Tensor, target: Stack | Tensor) -> tuple[Scores, np.ndarray, np.ndarray]:
    """Return the result of `metrics.score_planes`, computed on the device of the prediction."""
    if prediction.device.type == "cpu":
        return score_planes(prediction.numpy(), target.numpy() if isinstance(target, Tensor) else target)
    return device_scores(prediction, as_tensor(target, prediction.device))


def as_tensor(stack: Stack | Tensor, device: torch.device) -> Tensor:
    """Return a stack as a float32 tensor on a device."""
    return stack if isinstance(stack, Tensor) else torch.from_numpy(np.array(stack, np.float32)).to(device)


def device_scores(prediction: Tensor, target: Tensor) -> tuple[Scores, np.ndarray, np.ndarray]:
    """Compute `score` and `plane_errors` of tensors where they are, and wait for their device once.

    Args:
        prediction: (D, H, W).
        target: (D, H, W), on the same device.

    Returns:
        Scores of the volume, error (D,) and variation (D,).

    Raises:
        SparseSSPError: The shapes differ, or the target is constant (R2 is undefined).
    """
    check_shapes(prediction, target)
    means = [volume.sum(dtype=torch.float64) / volume.numel() for volume in (prediction, target)]
    parts, planes = [], max(1, _AT_ONCE // target[0].numel())
    for predicted, wanted in zip(prediction.split(planes), target.split(planes), strict=True):
        x, y = predicted.flatten(1).double(), wanted.flatten(1).double()
        error, x, y = x - y, x - means[0], y - means[1]
        parts.append(torch.stack([each.sum(1) for each in (error * error, error.abs(), x * x, y * y, x * y)], dim=1))
    ends = torch.stack([end for volume in (prediction, target) for end in volume.aminmax()]).double()
    numbers = torch.cat([*(part.flatten() for part in parts), ends]).cpu().numpy()
    sums_D5, (low, high, target_low, target_high) = numbers[:-4].reshape(-1, 5), numbers[-4:]
    if target_low == target_high:
        raise SparseSSPError(f"the target is constant ({target_low:g}); R2 is undefined")
    squared, absolute, spread, variation, product = sums_D5.sum(0)
    pearson = float(product / np.sqrt(spread * variation)) if low < high else 0.0
    size = target.numel()
    scores = Scores(float(squared / size), float(absolute / size), float(1 - squared / variation), pearson, pearson**2)
    return scores, sums_D5[:, 0] / target[0].numel(), sums_D5[:, 3] / target[0].numel()
