"""Swin-Base (Liu et al., ICCV 2021): windows of 8 x 8 tokens, tokens of 4 pixels, merged three times."""

from torch import Tensor, nn

from sparsessp.networks.backbone import Tap
from sparsessp.networks.transformers_backbone import Pretrainable, library

_STAGES = ["stage1", "stage2", "stage3", "stage4"]


class Features(Pretrainable):
    """Maps of strides 4 to 32."""

    hub = "microsoft/swin-base-patch4-window7-224-in22k"
    first = "swin.embeddings.patch_embeddings.projection.weight"

    def __init__(self, channels: int, divisor: int):
        super().__init__()
        transformers = library()
        width = 128 // divisor
        self.taps = (Tap(width, 4, 3), Tap(2 * width, 8, 4), Tap(4 * width, 16, 5), Tap(8 * width, 32, 5))
        config = transformers.SwinConfig(
            image_size=128,
            num_channels=channels,
            embed_dim=width,
            depths=[max(1, layers // divisor) for layers in (2, 2, 18, 2)],
            num_heads=[4, 8, 16, 32],
            window_size=8,
            drop_path_rate=0.0,  # the others drop nothing
            out_features=_STAGES,
        )
        self.model = transformers.SwinBackbone(config)
        self.model.swin.layernorm = nn.Identity()  # of the pooled output, which nobody asks for

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the four stages' maps."""
        return list(self.model(x_BCHW).feature_maps)
