"""ResNet18, the 2D encoder of the paper's TSNs (He et al., CVPR 2016); needs no extra package.

Its weights have torchvision's names, so that published ImageNet weights can be loaded.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.backbone import Backbone, FeatureMap, adapt_weights
from sparsessp.networks.convolution import subsample
from sparsessp.networks.weights import read_weights

_HUB = "timm/resnet18.a1_in1k"
_FIRST = "conv1.weight"


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that uses its running statistics when the batch has a single value per channel."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Normalise."""
        if self.training and x_BCHW.numel() == x_BCHW.shape[1]:
            return F.batch_norm(x_BCHW, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x_BCHW)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, ci: int, co: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(ci, co, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm(co)
        self.conv2 = nn.Conv2d(co, co, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm(co)
        self.stride = stride
        self.downsample = nn.Sequential()
        if ci != co or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(ci, co, 1, bias=False), BatchNorm(co))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, co, ...)."""
        h_BCHW = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x_BCHW)))))
        return F.relu(h_BCHW + self.downsample(subsample(x_BCHW, self.stride)))


class ResNet18(Backbone):
    """Feature maps of strides 2 to 32."""

    def __init__(self, channels: int, divisor: int):
        super().__init__()
        w = [n // divisor for n in (64, 128, 256, 512)]
        sizes = ((w[0], 2, 2), (w[0], 4, 3), (w[1], 8, 4), (w[2], 16, 5), (w[3], 32, 5))
        self.feature_maps = tuple(FeatureMap(*size) for size in sizes)
        self.conv1 = nn.Conv2d(channels, w[0], 7, 2, 3, bias=False)
        self.bn1 = BatchNorm(w[0])
        for k, (ci, co) in enumerate(zip((w[0], *w), w, strict=False), 1):
            stage = nn.Sequential(BasicBlock(ci, co, 1 if k == 1 else 2), BasicBlock(co, co, 1))
            self.add_module(f"layer{k}", stage)

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the feature maps of the stem and of the four stages."""
        maps = [F.relu(self.bn1(self.conv1(x_BCHW)))]
        x_BCHW = F.max_pool2d(maps[0], 3, 2, 1)
        for k in range(1, 5):
            x_BCHW = self.get_submodule(f"layer{k}")(x_BCHW)
            maps.append(x_BCHW)
        return maps

    def load(self, weights: str) -> None:
        """Load pretrained weights; the classification layer is not used."""
        have = read_weights(_HUB if weights == "hub" else weights)
        self.load_state_dict(adapt_weights(have, self.state_dict(), _FIRST, weights))
