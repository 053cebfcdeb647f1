"""DINOv2-Base (Oquab et al., 2023): a vision transformer with layer scales, patches of 14 pixels.

Without its weights it is this architecture only: DINOv2 is a way to train it.
"""

from torch import Tensor, nn

from sparsessp.networks.transformers_backbone import PlainTransformer, library


class Features(PlainTransformer):
    """12 layers of 768 channels."""

    hub = "facebook/dinov2-base"
    first = "embeddings.patch_embeddings.projection.weight"
    patch = 14

    def __init__(self, channels: int, divisor: int):
        transformers = library()

        def make(**size: int) -> nn.Module:
            size.pop("intermediate_size")  # four times the channels by itself
            config = transformers.Dinov2Config(image_size=518, patch_size=self.patch, use_mask_token=False, **size)
            return transformers.Dinov2Model(config)

        super().__init__(channels, divisor, make, hidden=768, layers=12, heads=12)
        self.model.layernorm = nn.Identity()  # of the last layer alone, which is tapped before it

    def tokens(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the tapped layers' tokens."""
        states = self.model(x_BCHW, output_hidden_states=True).hidden_states
        return [states[k] for k in self.after]
