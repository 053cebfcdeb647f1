"""Swin-Base (Liu et al., ICCV 2021): windows of 8 x 8 tokens, patches of 4 x 4 pixels, merged three times."""

from torch import Tensor, nn

from sparsessp.networks.backbone import FeatureMap
from sparsessp.networks.transformers_backbone import TransformersBackbone, import_transformers

_STAGES = ["stage1", "stage2", "stage3", "stage4"]


class SwinBase(TransformersBackbone):
    """Feature maps of strides 4 to 32."""

    hub_name = "microsoft/swin-base-patch4-window7-224-in22k"
    first_weight = "swin.embeddings.patch_embeddings.projection.weight"

    def __init__(self, channels: int, divisor: int):
        super().__init__()
        config, model = import_transformers("SwinConfig", "SwinBackbone")
        width = 128 // divisor
        sizes = ((width, 4, 3), (2 * width, 8, 4), (4 * width, 16, 5), (8 * width, 32, 5))
        self.feature_maps = tuple(FeatureMap(*size) for size in sizes)
        settings = config(
            image_size=128,
            num_channels=channels,
            embed_dim=width,
            depths=[max(1, layers // divisor) for layers in (2, 2, 18, 2)],
            num_heads=[4, 8, 16, 32],
            window_size=8,
            drop_path_rate=0.0,  # the other backbones have no stochastic depth
            out_features=_STAGES,
        )
        self.model = model(settings)
        self.model.swin.layernorm = nn.Identity()  # only for the pooled output, which is not used

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the feature maps of the four stages."""
        return list(self.model(x_BCHW).feature_maps)
