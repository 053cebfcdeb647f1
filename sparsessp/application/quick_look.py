"""A picture of a prediction: one depth-coded projection per structure, as in Figure 5. Needs the extra `report`."""

from pathlib import Path

import numpy as np

from sparsessp.support.files import atomic_write

LARGEST = 256  # rows or columns of a picture


def subsample(plane: np.ndarray) -> np.ndarray:
    """Return every n-th row and column of a plane, so that neither exceeds `LARGEST`."""
    step = -(-max(plane.shape) // LARGEST)
    return plane[::step, ::step]


def write_quick_look(
    path: Path, light: np.ndarray, predictions: dict[str, np.ndarray], height_um: float, pixel_um: float
) -> None:
    """Draw one transmitted-light plane and the predictions, seen from above.

    Args:
        path: PNG file.
        light: One plane, subsampled.
        predictions: Structure to its dense stack (D, h, w), subsampled.
        height_um: Height of the stacks.
        pixel_um: Size of a subsampled pixel.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from sparsessp.reporting.figures.drawing import canvas, own_settings, render
    from sparsessp.reporting.figures.pictures import DEPTH, depth_coded, scale_bar, show

    with own_settings():
        figure = canvas(3.2 * (len(predictions) + 1), 3.6, dpi=100)
        panels = figure.subplots(1, len(predictions) + 1, squeeze=False)[0]
        low, high = np.percentile(light, (1, 99))
        show(panels[0], light, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        panels[0].set_title("transmitted light,\nmiddle plane", fontsize=9)
        scale_bar(panels[0], light.shape[1], pixel_um)
        for panel, (name, stack) in zip(panels[1:], predictions.items(), strict=True):
            show(panel, depth_coded(stack))
            panel.set_title(f"{name},\npredicted", fontsize=9)
        bar = figure.colorbar(ScalarMappable(Normalize(0, height_um), DEPTH), ax=panels.tolist(), shrink=0.7, pad=0.01)
        bar.set_label("height of the brightest voxel, µm", fontsize=8)
        bar.outline.set_visible(False)
        content = render(figure, "png")
    with atomic_write(path) as partial:
        partial.write_bytes(content)
