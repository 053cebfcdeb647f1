"""Backbones from Hugging Face transformers, which takes seconds to import and is imported only when one is built."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sparsessp.networks.backbone import Backbone, FeatureMap, adapt_weights, resize
from sparsessp.networks.weights import missing_extra, raise_unreadable, split_revision
from sparsessp.support.processes import no_garbage_collection

_STRIDE = 16  # of the tokens of all plain vision transformers


def import_transformers(*names: str) -> list[Any]:
    """Import these classes from transformers.

    Raises:
        SparseSSPError: It is not installed; the message says how to install it.
    """
    try:
        with no_garbage_collection():
            import transformers

            return [getattr(transformers, name) for name in names]  # each is imported when it is first used
    except ImportError as error:
        raise missing_extra(error) from None


class TransformersBackbone(Backbone):
    """A backbone with a model of the library in `self.model`."""

    hub_name: str
    """Name of its usual weights on the hub."""
    first_weight: str
    """Name of the weight of the first convolution."""

    def load(self, weights: str) -> None:
        """Load pretrained weights from a folder with config.json and model.safetensors, or from the hub."""
        source = self.hub_name if weights == "hub" else weights
        try:
            name, revision = (source, None) if Path(source).exists() else split_revision(source)
            trained = type(self.model).from_pretrained(name, revision=revision or "main", use_safetensors=True)
        except Exception as error:  # the library raises many types for network, names and files
            raise_unreadable(source, error)
        adapted = adapt_weights(trained.state_dict(), self.model.state_dict(), self.first_weight, source)
        self.model.load_state_dict(adapted)


class PlainTransformer(TransformersBackbone):
    """A plain vision transformer: four feature maps of stride 16 (docs/methods.md#backbones).

    The outputs after a quarter, half, three quarters and all of the layers go to levels 2, 3, 4 and 5. The image is
    resized so that it has ceil(size / 16) tokens along each axis, whatever the patch size.
    """

    patch = 16
    """Rows and columns of a patch, in pixels."""

    def __init__(self, channels: int, divisor: int, make: Callable[..., Any], hidden: int, layers: int, heads: int):
        super().__init__()
        hidden, layers = hidden // divisor, max(4, -(-layers // divisor))
        self.feature_maps = tuple(FeatureMap(hidden, _STRIDE, level) for level in (2, 3, 4, 5))
        self.output_layers = [layers * k // 4 for k in (1, 2, 3, 4)]
        self.model = make(
            num_channels=channels,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
        )

    @abstractmethod
    def tokens(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the tokens (B, 1 + N, C) after each of the `output_layers`, the class token first."""

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the four feature maps."""
        rows, columns = (-(-n // _STRIDE) for n in x_BCHW.shape[2:])
        x_BCHW = resize(x_BCHW, (rows * self.patch, columns * self.patch))
        return [t_BNC[:, 1:].transpose(1, 2).unflatten(2, (rows, columns)) for t_BNC in self.tokens(x_BCHW)]


class VisionTransformer(PlainTransformer):
    """ViT (Dosovitskiy et al., ICLR 2021), patches of 16 x 16 pixels."""

    first_weight = "embeddings.patch_embeddings.projection.weight"
    size: dict[str, int]
    """Channels `hidden`, number of `layers` and of attention `heads`."""

    def __init__(self, channels: int, divisor: int):
        config, model = import_transformers("ViTConfig", "ViTModel")

        def make(**size: int) -> nn.Module:
            return model(config(image_size=128, patch_size=self.patch, **size), add_pooling_layer=False)

        super().__init__(channels, divisor, make, **self.size)
        self.model.layernorm = nn.Identity()  # after the last layer, whose output is taken before it

    def tokens(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the tokens of the output layers."""
        states = self.model(x_BCHW, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        return [states[k] for k in self.output_layers]
