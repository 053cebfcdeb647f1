"""ViT-Base (Dosovitskiy et al., ICLR 2021), patches of 16 pixels."""

from torch import Tensor, nn

from sparsessp.networks.transformers_backbone import PlainTransformer, library


class Features(PlainTransformer):
    """12 layers of 768 channels."""

    hub = "google/vit-base-patch16-224-in21k"
    first = "embeddings.patch_embeddings.projection.weight"

    def __init__(self, channels: int, divisor: int):
        transformers = library()

        def make(**size: int) -> nn.Module:
            config = transformers.ViTConfig(image_size=128, patch_size=self.patch, **size)
            return transformers.ViTModel(config, add_pooling_layer=False)

        super().__init__(channels, divisor, make, hidden=768, layers=12, heads=12)
        self.model.layernorm = nn.Identity()  # of the last layer alone, which is tapped before it

    def tokens(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the tapped layers' tokens."""
        states = self.model(x_BCHW, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        return [states[k] for k in self.after]
