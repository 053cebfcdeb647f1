"""DINOv2-Base (Oquab et al., 2023): a vision transformer with layer scale, patches of 14 x 14 pixels.

DINOv2 is a training method: without pretrained weights this is its architecture only.
"""

from torch import Tensor, nn

from sparsessp.networks.transformers_backbone import PlainTransformer, import_transformers


class DINOv2Base(PlainTransformer):
    """12 layers of 768 channels."""

    hub_name = "facebook/dinov2-base"
    first_weight = "embeddings.patch_embeddings.projection.weight"
    patch = 14

    def __init__(self, channels: int, divisor: int):
        config, model = import_transformers("Dinov2Config", "Dinov2Model")

        def make(**size: int) -> nn.Module:
            size.pop("intermediate_size")  # always four times the channels here
            return model(config(image_size=518, patch_size=self.patch, use_mask_token=False, **size))

        super().__init__(channels, divisor, make, hidden=768, layers=12, heads=12)
        self.model.layernorm = nn.Identity()  # after the last layer, whose output is taken before it

    def tokens(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the tokens of the output layers."""
        states = self.model(x_BCHW, output_hidden_states=True).hidden_states
        return [states[k] for k in self.output_layers]
