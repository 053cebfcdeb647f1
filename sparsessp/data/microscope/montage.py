"""A picture of the synthetic microscope's images: `python -m sparsessp.data.microscope.montage OUT.png`."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from sparsessp.data.microscope.dataset import Acquisition, Catalogue, Size, load_catalogue, take
from sparsessp.structures import STRUCTURES

CATALOGUE = Path(__file__).parents[3] / "data" / "synthetic.yaml"
_PLANES, _SIDE = 48, 96
_GAP = 3  # between panels, pixels
_LEFT, _TOP = 20, 30  # room for names, pixels
_DEFOCUS = 6  # planes
_LIGHT = (0.72, 1.28)  # black and white of brightfield, units of the mean
_GREYS = 48  # in the file: photon noise in more greys does not compress


def _grey(image: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((image - low) / (high - low), 0, 1)


def _panels(taken: Acquisition) -> np.ndarray:
    """Five panels side by side: brightfield below, in and above focus, fluorescence, x-z of both."""
    brightness = taken.target.var(axis=(1, 2), dtype=np.float64)
    weight = (brightness - brightness.min()) ** 4  # finds a flat structure, and the middle of a tall one
    focus = round(float((np.arange(_PLANES) * weight).sum() / weight.sum()))
    row = int(taken.target.var(axis=(0, 2)).argmax())
    dark, bright = np.percentile(taken.target[focus], (20, 99.6))
    bright = max(bright, 0.4 * taken.target[focus].max())  # rare puncta stand out from the noise
    planes = np.clip([focus - _DEFOCUS, focus, focus + _DEFOCUS], 0, _PLANES - 1)
    images = [_grey(taken.light[plane], *_LIGHT) for plane in planes]
    images.append(_grey(taken.target[focus], dark, bright))
    sections = _grey(taken.light[::-1, row], *_LIGHT), _grey(taken.target[::-1, row], dark, bright)
    images.append(np.concatenate(sections))
    return np.hstack([np.pad(image, ((0, _GAP), (0, _GAP)), constant_values=1) for image in images])


def draw(catalogue: Catalogue, out: Path) -> None:
    """Draw scene 0 of each structure, two structures per row, one pixel per voxel."""
    size = Size(volumes=1, shape=(_PLANES, _SIDE, _SIDE))
    tiles = [_panels(take(catalogue, size, s.key, 0)) for s in STRUCTURES]
    height, width = tiles[0].shape
    page = np.ones((_TOP + len(tiles) // 2 * height, 2 * (_LEFT + width)))
    figure = Figure(figsize=(page.shape[1] / 100, page.shape[0] / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    shift = f"{_DEFOCUS * catalogue.voxel_um:.1f} µm"
    light = [f"brightfield\n{place}" for place in (f"{shift} below", "in focus", f"{shift} above")]
    for i, (structure, tile) in enumerate(zip(STRUCTURES, tiles, strict=True)):
        y, x = _TOP + i // 2 * height, i % 2 * (_LEFT + width) + _LEFT
        page[y : y + height, x : x + width] = tile
        axes.text(x - 4, y + _SIDE / 2, structure.name, rotation=90, ha="right", va="center", fontsize=6.5)
        bar = x + 3 * (_SIDE + _GAP) + 5
        axes.plot([bar, bar + 5 / catalogue.voxel_um], [y + _SIDE - 5] * 2, color="white", linewidth=2)
        if i < 2:
            axes.text(bar, y + _SIDE - 8, "5 µm", color="white", fontsize=6.5, va="bottom")
            for j, title in enumerate([*light, "fluorescence", "x-z of both"]):
                centre = x + j * (_SIDE + _GAP) + _SIDE / 2
                axes.text(centre, _TOP - 4, title, ha="center", va="bottom", fontsize=6.5)
    axes.imshow(page, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    out.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(canvas.buffer_rgba())[..., 0]
    Image.fromarray(pixels).quantize(_GREYS).save(out, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m sparsessp.data.microscope.montage OUT.png")
    draw(load_catalogue(CATALOGUE), Path(sys.argv[1]))
