"""From an image layer to a prediction and back to layers, without napari or Qt: `widget` adds the controls.

Lengths in napari are in the units of the layer. A layer without units has pixels; its scale is taken as micrometres,
which is how files were opened before layers had units, except for a scale of 1, which says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsessp.application.grid import fit_stack
from sparsessp.application.model import Model
from sparsessp.data.voxel_size import micrometres
from sparsessp.errors import SparseSSPError

# As many as the first structures of a model; neighbours differ when layers are added up.
COLORMAPS = ("cyan", "magenta", "yellow", "green", "red", "blue", "bop orange")
LayerData = tuple[np.ndarray, dict[str, Any], str]
Spacing = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class LayerStack:
    """The stack of an image layer that the viewer shows.

    Attributes:
        name: Name of the layer.
        values: (D, H, W), not yet read if the layer is lazy.
        place: Index of the stack on the layer's axes before the last three, such as the time point.
        scale: Scale of each axis of the layer.
        translate: Position of its first voxel on each axis.
        units: Unit of each axis.
    """

    name: str
    values: Any
    place: tuple[int, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    units: tuple[str, ...]


class Cancelled(Exception):
    """The user stopped a prediction."""


def spacing_um(layer: Any) -> Spacing:
    """Return the distance (z, y, x) between a layer's voxels in micrometres; None where the layer does not say."""
    edges = [_edge_um(float(scale), str(unit)) for scale, unit in zip(layer.scale[-3:], layer.units[-3:], strict=True)]
    z, y, x = [None] * (3 - len(edges)) + edges
    return z, y, x


def _edge_um(scale: float, unit: str) -> float | None:
    if unit in ("pixel", "px", ""):
        return scale if scale != 1 else None
    um = micrometres(unit)
    return None if um is None else scale * um


def shown_stack(layer: Any, position: Sequence[float]) -> LayerStack:
    """Return the stack of an image layer at the sliders' position.

    Args:
        layer: A napari image layer.
        position: Position of the sliders in the layer's data, one value per axis.

    Raises:
        SparseSSPError: The layer has colours or fewer than three axes.
    """
    values = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb:
        raise SparseSSPError(f"layer {layer.name!r} has colours; the model needs a stack of grey planes")
    if values.ndim < 3:
        raise SparseSSPError(f"layer {layer.name!r} is a single plane; the model needs a stack of planes")
    leading = values.shape[:-3]
    place = tuple(int(np.clip(round(at), 0, n - 1)) for at, n in zip(position, leading, strict=False))
    numbers = (tuple(float(value) for value in axis) for axis in (layer.scale, layer.translate))
    return LayerStack(layer.name, values[place], place, *numbers, tuple(str(unit) for unit in layer.units))


def predicted_layers(
    model: Model,
    stack: LayerStack,
    spacing: Sequence[float | None],
    structures: Sequence[str],
    force: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> list[LayerData]:
    """Predict the structures of a stack.

    Args:
        model: Trained model.
        stack: Transmitted light.
        spacing: Distance (z, y, x) between its voxels in micrometres.
        structures: Keys of the structures.
        force: Predict although the model was not trained for this distance between planes.
        progress: Receives the number of finished windows and that of all.

    Returns:
        One image layer per structure, which lies over the transmitted light: its scale has the units of that layer.

    Raises:
        SparseSSPError: An edge of the voxels is unknown, or the stack does not suit the model.
    """
    missing = [axis for axis, edge in zip("zyx", spacing, strict=True) if not edge]
    if missing:
        raise SparseSSPError(
            f"layer {stack.name!r} has no voxel size along {', '.join(missing)}; enter it in micrometres"
        )
    edges = [float(edge) for edge in spacing if edge]
    fit = fit_stack(model.card, stack.values.shape, edges, f"layer {stack.name!r}", force)
    found = model.predict(np.asarray(stack.values), edges, structures, force=force, progress=progress or False)
    planes = fit.voxel_um[0] / edges[0]  # of the layer, between two planes of the prediction
    return [
        (
            values.reshape(*(1 for _ in stack.place), *values.shape),
            {
                "name": f"{stack.name}: {key}, predicted",
                "scale": (*stack.scale[:-3], stack.scale[-3] * planes, *stack.scale[-2:]),
                "translate": _first_voxel(stack),
                "units": stack.units,
                "colormap": COLORMAPS[model.card.trained.index(key) % len(COLORMAPS)],
                "contrast_limits": _limits(values),
                "blending": "additive",
                "metadata": {"sparsessp": {"model": model.card.network.name, "voxel_um": fit.voxel_um}},
            },
            "image",
        )
        for key, values in zip(dict.fromkeys(structures), found, strict=True)
    ]


def _first_voxel(stack: LayerStack) -> tuple[float, ...]:
    """Return the position of the stack's first voxel on each axis of the layer."""
    place = (*stack.place, 0, 0, 0)
    return tuple(first + at * step for first, at, step in zip(stack.translate, place, stack.scale, strict=True))


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Return contrast limits: the median, which is background, to the brightest thousandth."""
    low, high = np.percentile(values[:, ::4, ::4], (50, 99.9))
    return float(low), float(max(high, low + 1e-6))
