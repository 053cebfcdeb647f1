"""RepMode: every convolution is a mixture of diverse experts, merged into one kernel per task.

After Zhou et al. (CVPR 2023). The experts are linear and parallel, so their gate-weighted sum is a single
convolution with a merged kernel (re-parameterisation). For a batch of several tasks there are two ways to compute
the same result: one merged kernel per task, or, where the kernels are larger than the features, expert by expert:
y[o] = sum_e g[e, o] (K_e * x)[o].
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.blocks import Code, Norm, Site, one_hot, per_channel
from sparsessp.networks.convolution import convolve, convolve_grouped, convolve_one_by_one, convolve_per_sample
from sparsessp.networks.fused.choice import Path, channels_last, path
from sparsessp.networks.fused.fastest import Fastest, Way
from sparsessp.networks.fused.norm import norm_act
from sparsessp.networks.merging import merge_experts
from sparsessp.networks.method import Method
from sparsessp.networks.pooling import pooled_by_products, pooled_by_sums

# The convolution is computed expert by expert if the merged kernels have more than this many times the elements of the
# output. Measured on two cores with eight samples of eight tasks (docs/speed.md#what-was-tried).
_KERNELS_OVER_OUTPUT = 10
# On a GPU the way is chosen by measurement.
fastest = Fastest()


class TaskGroups(nn.Module):
    """The distinct tasks of a batch, and the task of each sample among them."""

    def __init__(self, tasks: int):
        super().__init__()
        self.tasks = tasks

    def forward(self, task_B: Tensor) -> Code:
        """Return one-hot codes of the G distinct tasks, (G, T), and each sample's index into them, (B,).

        The indices are on the CPU, where each convolution reads them without synchronising with a GPU.
        """
        if len(task_B) == 1 or path(task_B) > Path.PLAIN:  # on a GPU each sample counts as a task, without waiting
            return one_hot(task_B, self.tasks), torch.arange(len(task_B))
        distinct_G, group_B = task_B.unique(return_inverse=True)
        return one_hot(distinct_G, self.tasks), group_B.cpu()


def _expert(co: int, ci: int, n: int, size: int) -> nn.Parameter:
    weight = nn.Parameter(torch.empty(co, ci, *([size] * n)))
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return weight


def _centred(kernel: Tensor, size: int, n: int) -> Tensor:
    """Zero-pad a kernel to `size` on each of its n axes."""
    return F.pad(kernel, [(size - kernel.shape[-1]) // 2] * (2 * n))


class MixtureConv(nn.Module):
    """Mixture of diverse experts (MoDE): a convolution whose kernel is a task-dependent mixture of experts.

    The experts for kernel 5 are convolutions of kernel 5, 3 and 1, and convolutions of kernel 1 followed by average
    pooling over 3 and over 5; for kernel 3, those of size 3 or less. No expert has a bias. The gate has one weight
    per expert and output channel, with a softmax over the experts.

    Args:
        n: Dimensions.
        ci: Input channels.
        co: Output channels.
        kernel: Size of the largest expert on each axis, 3 or 5.
        stride: Stride on each axis.
        tasks: Number of tasks T.
    """

    def __init__(self, n: int, ci: int, co: int, kernel: int, stride: int, tasks: int):
        super().__init__()
        self.n, self.co, self.kernel, self.stride = n, co, kernel, stride
        sizes = range(kernel, 0, -2)
        self.convs = nn.ParameterList(_expert(co, ci, n, size) for size in sizes)
        self.pools = nn.ParameterList(_expert(co, ci, n, 1) for _ in sizes[:-1])
        self._pool_sizes = range(3, kernel + 1, 2)
        self.gate = nn.Linear(tasks, (len(self.convs) + len(self.pools)) * co)

    def kernels(self, code_GT: Tensor) -> Tensor:
        """Merged kernels of G tasks, (G, co, ci, K ...): the gate-weighted sum of the experts."""
        weights = [gate.reshape(-1, self.co, *([1] * (self.n + 1))) for gate in self._gates(code_GT).unbind(1)]
        merged = weights[0] * self.convs[0]
        for weight, conv in zip(weights[1:], self.convs[1:], strict=False):
            merged = merged + _centred(weight * conv, self.kernel, self.n)
        for weight, conv, size in zip(weights[len(self.convs) :], self.pools, self._pool_sizes, strict=True):
            # The kernel of an average pool is constant, so it is broadcast over its box.
            box = weight * conv / size**self.n
            if size < self.kernel:
                box = _centred(box.expand(*box.shape[:3], *[size] * self.n), self.kernel, self.n)
            merged = merged + box
        return merged

    def forward(self, x_BC: Tensor, code: tuple[Tensor, Tensor]) -> Tensor:
        """Convolve each sample with the kernel of its task."""
        code_GT, group_B = code
        outputs = len(x_BC) * self.co * math.prod(-(-size // self.stride) for size in x_BC.shape[2:])
        if path(x_BC) > Path.PLAIN:
            return self._fastest(x_BC, code_GT, outputs)
        if len(code_GT) > 1 and len(code_GT) * self.convs[0].numel() > _KERNELS_OVER_OUTPUT * outputs:
            return self._by_expert(x_BC, self._gates(code_GT)[group_B])
        kernels_OI = self.kernels(code_GT).to(x_BC.dtype).unbind()
        if len(kernels_OI) == 1:
            return convolve(x_BC, kernels_OI[0], self.stride)
        return convolve_per_sample(x_BC, [kernels_OI[group] for group in group_B.tolist()], self.stride)

    def _fastest(self, x_BC: Tensor, code_BT: Tensor, outputs: int) -> Tensor:
        """Convolve in the way that is fastest on this device, where each sample counts as a task (`TaskGroups`).

        Kernels are merged in the type of the features. Expert by expert, the sums of each expert take memory, so it is
        only tried where the kernels take more.
        """
        gates_BEO = self._gates(code_BT)

        def merged(convolve_all: Callable[[Tensor, list[Tensor], int], Tensor], x_BC: Tensor) -> Tensor:
            kernels_OI = merge_experts(gates_BEO, self.convs, self.pools, x_BC.dtype)
            if len(kernels_OI) == 1:
                return convolve(x_BC, kernels_OI[0], self.stride)
            return channels_last(convolve_all(x_BC, kernels_OI, self.stride))

        ways: dict[str, Way] = {"one by one": partial(merged, convolve_one_by_one)}
        if len(code_BT) > 1:
            ways["grouped"] = partial(merged, convolve_grouped)
            if len(code_BT) * self.convs[0].numel() > outputs:
                ways["by expert"] = lambda x_BC: channels_last(self._by_expert(x_BC, gates_BEO))
        weights = [*self.convs, *self.pools]
        return fastest(ways, x_BC, weights, len(code_BT), self.co, self.kernel, self.stride)

    def merge(self, code: tuple[Tensor, Tensor]) -> nn.Module:
        """Return the equivalent convolution for the single task of `code` (re-parameterisation)."""
        return MergedConv(self.kernels(code[0])[0].detach(), self.stride)

    def _gates(self, code_GT: Tensor) -> Tensor:
        """Weight of each expert for each output channel, (G, E, co)."""
        return self.gate(code_GT).unflatten(1, (-1, self.co)).softmax(dim=1)

    def _by_expert(self, x_BC: Tensor, gates_BEO: Tensor) -> Tensor:
        """Apply each expert to all samples and sum the weighted outputs."""
        pooled = pooled_by_products if path(x_BC) == Path.PLAIN else pooled_by_sums
        weights = [per_channel(gate_BO.to(x_BC.dtype), x_BC) for gate_BO in gates_BEO.unbind(1)]
        y_BC = weights[0] * convolve(x_BC, self.convs[0], self.stride)
        for weight, conv in zip(weights[1:], self.convs[1:], strict=False):
            y_BC = y_BC + weight * convolve(x_BC, conv, self.stride)
        for weight, conv, box in zip(weights[len(self.convs) :], self.pools, self._pool_sizes, strict=True):
            # Pooling and a 1x1 convolution commute; pooling first, the stride applies to the pooling alone.
            y_BC = y_BC + weight * convolve(pooled(x_BC, box, self.stride), conv)
        return y_BC


class MergedConv(nn.Module):
    """Convolution with the merged kernel of one task."""

    def __init__(self, kernel_OI: Tensor, stride: int):
        super().__init__()
        self.kernel_OI, self.stride = kernel_OI, stride

    def forward(self, x_BC: Tensor, code: Code) -> Tensor:
        """Convolve `x_BC`."""
        self.kernel_OI = self.kernel_OI.to(x_BC.dtype)  # kept, because all windows have the same type
        return convolve(x_BC, self.kernel_OI, self.stride)


class MixtureHead(nn.Module):
    """Norm, ReLU and a mixture convolution to the output channels."""

    def __init__(self, groups: int, ci: int, conv: MixtureConv):
        super().__init__()
        self.norm = Norm(groups, ci)
        self.conv = conv

    def forward(self, x_BC: Tensor, bottleneck_BC: Tensor, code: tuple[Tensor, Tensor]) -> Tensor:
        """Return (B, co, ...)."""
        return self.conv(norm_act(self.norm, x_BC), code)


class RepMode(Method):
    """Mixture convolutions in every residual block and in the head."""

    def code(self) -> nn.Module:
        """Distinct tasks of the batch."""
        return TaskGroups(self.tasks)

    def conv(self, site: Site, ci: int, co: int, stride: int) -> MixtureConv:
        """Mixture convolution."""
        return MixtureConv(site.n, ci, co, self.settings.repmode_kernel, stride, self.tasks)

    def head(self, n: int, ci: int, co: int, bottleneck: int) -> nn.Module:
        """Mixture convolution to the output channels."""
        return MixtureHead(self.settings.groups, ci, self.conv(Site("decoder", n), ci, co, 1))
