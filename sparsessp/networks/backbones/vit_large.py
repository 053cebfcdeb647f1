"""ViT-Large (Dosovitskiy et al., ICLR 2021), patches of 16 x 16 pixels."""

from sparsessp.networks.transformers_backbone import VisionTransformer


class ViTLarge(VisionTransformer):
    """24 layers of 1024 channels."""

    hub_name = "google/vit-large-patch16-224-in21k"
    size = {"hidden": 1024, "layers": 24, "heads": 16}
