"""What the backbones of Hugging Face transformers share; the library takes seconds to import, so only they do."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sparsessp.networks.backbone import Backbone, Tap, adapt_weights, resized
from sparsessp.networks.weights import missing_extra, no_weights, split_revision

_STRIDE = 16  # of the tokens of a plain vision transformer


def library() -> Any:
    """Import transformers.

    Raises:
        SparseSSPError: It is not installed; the message names the extra.
    """
    try:
        import transformers
    except ImportError as error:
        raise missing_extra(error) from None
    return transformers


class Pretrainable(Backbone):
    """A backbone around a model of the library."""

    hub: str
    """Name of its usual weights."""
    first: str
    """Name of the weight of the convolution that sees the image."""

    def load(self, weights: str) -> None:
        """Take trained weights over, from a folder with config.json and model.safetensors, or from the hub."""
        source = self.hub if weights == "hub" else weights
        try:
            name, revision = (source, None) if Path(source).exists() else split_revision(source)
            trained = type(self.model).from_pretrained(name, revision=revision or "main", use_safetensors=True)
        except Exception as error:  # network, names and files: what the library raises is its own affair
            raise no_weights(source, error) from None
        self.model.load_state_dict(adapt_weights(trained.state_dict(), self.model.state_dict(), self.first, source))


class PlainTransformer(Pretrainable):
    """A vision transformer with tokens of one size: four maps of stride 16, doubled as their levels need.

    Taps after a quarter, half, three quarters and all of the layers go to levels 2, 3, 4 and 5. The image is
    resized so that it has ceil(size / 16) tokens, whatever the pixels of a token.
    """

    patch = 16

    def __init__(self, channels: int, divisor: int, make: Callable[..., Any], hidden: int, layers: int, heads: int):
        super().__init__()
        hidden, layers = hidden // divisor, max(4, -(-layers // divisor))
        self.taps = tuple(Tap(hidden, _STRIDE, level) for level in (2, 3, 4, 5))
        self.after = [layers * k // 4 for k in (1, 2, 3, 4)]
        self.model = make(
            num_channels=channels,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
        )

    @abstractmethod
    def tokens(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the tokens (B, 1 + N, C) after each of the layers `after`, the class's first."""

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the four maps."""
        rows, columns = (-(-n // _STRIDE) for n in x_BCHW.shape[2:])
        x_BCHW = resized(x_BCHW, (rows * self.patch, columns * self.patch))
        return [t_BNC[:, 1:].transpose(1, 2).unflatten(2, (rows, columns)) for t_BNC in self.tokens(x_BCHW)]


class VisionTransformer(PlainTransformer):
    """ViT (Dosovitskiy et al., ICLR 2021), patches of 16 pixels."""

    first = "embeddings.patch_embeddings.projection.weight"
    size: dict[str, int]
    """Channels `hidden`, `layers` and attention `heads`."""

    def __init__(self, channels: int, divisor: int):
        transformers = library()

        def make(**size: int) -> nn.Module:
            config = transformers.ViTConfig(image_size=128, patch_size=self.patch, **size)
            return transformers.ViTModel(config, add_pooling_layer=False)

        super().__init__(channels, divisor, make, **self.size)
        self.model.layernorm = nn.Identity()  # of the last layer alone, which is tapped before it

    def tokens(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the tapped layers' tokens."""
        states = self.model(x_BCHW, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        return [states[k] for k in self.after]
