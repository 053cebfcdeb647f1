"""ViT-Base (Dosovitskiy et al., ICLR 2021), patches of 16 x 16 pixels."""

from sparsessp.networks.transformers_backbone import VisionTransformer


class ViTBase(VisionTransformer):
    """12 layers of 768 channels."""

    hub_name = "google/vit-base-patch16-224-in21k"
    size = {"hidden": 768, "layers": 12, "heads": 12}
