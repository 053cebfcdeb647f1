"""Draw the pictures of the concept pages: `python docs/site_tools/pictures.py docs/images`.

Shapes are read from the networks as built; images come from the simulated microscope.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.patches import FancyBboxPatch, Patch
from torch import nn

from sparsessp.config import NetworkSettings
from sparsessp.costs.counted import describe, meta_network, shapes
from sparsessp.data.microscope.dataset import Size, load_catalogue, take
from sparsessp.networks.interpolation import INTERPOLATIONS
from sparsessp.networks.projection import ChannelToDepth, DepthToChannel
from sparsessp.reporting.figures.drawing import canvas, own_settings, render
from sparsessp.reporting.figures.schematic import FILL, draw_network
from sparsessp.reporting.names import GREY, TOPOLOGIES, method_name

ROOT = Path(__file__).resolve().parents[2]
RATIO = 4
SPARSE, DENSE = "#0072b2", "#d55e00"


def settings(**values):
    """Settings of TGNet at the paper's size."""
    return NetworkSettings(**{"method": "tgnet", "topology": "3to2d", "ratio": RATIO, **values})


def sparse_view():
    """Side views of one scene: the planes that are imaged at each ratio, and the fluorescence to predict."""
    catalogue = load_catalogue(ROOT / "data" / "synthetic.yaml")
    taken = take(catalogue, Size(volumes=1, shape=(32, 96, 96)), "nucleolus", 0)
    row = int(taken.target.var(axis=(0, 2)).argmax())
    light, target = taken.light[:, row], taken.target[:, row]
    figure = canvas(11, 2.5, dpi=120)
    panels = figure.subplots(1, 5)
    for panel, ratio in zip(panels, (1, 2, 4, 8), strict=False):
        shown = np.full_like(light, np.nan)
        shown[::ratio] = light[::ratio]
        planes = len(light) // ratio
        _section(panel, shown, 0.72, 1.28, f"r = {ratio}: {planes} of {len(light)} planes")
    _section(panels[4], target, *np.percentile(target, (20, 99.6)), f"to predict: {len(target)} planes")
    panels[0].set_ylabel("z")
    panels[0].set_xlabel("x")
    return figure


def _section(panel, image, low, high, title):
    panel.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower", aspect="auto", interpolation="none")
    panel.set_facecolor("#cfe3f1")
    panel.set_title(title, fontsize=11)
    panel.set_xticks([])
    panel.set_yticks([])


def topologies():
    """The four topologies of TGNet with prefix interpolation."""
    figure = canvas(11, 8.6, dpi=120)
    for panel, (topology, (title, _)) in zip(figure.subplots(2, 2).flat, TOPOLOGIES.items(), strict=True):
        panel.set_axis_off()
        facts = describe(settings(topology=topology))
        millions, gmacs = facts["parameters"] / 1e6, facts["gmacs"]
        panel.set_title(
            f"{title}: {millions:.3g} million parameters, {gmacs:.3g} GMACs ({method_name('tgnet')})", fontsize=11
        )
        draw_network(panel, {part["part"]: part["shape"] for part in facts["shapes"]})
    handles = [Patch(facecolor=FILL[n], edgecolor=GREY, label=f"{n}D features") for n in (3, 2)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return figure


def projection():
    """The steps between encoder and decoder of one level, in both spaces and both directions."""
    figure = canvas(11, 5.4, dpi=120)
    panel = figure.subplots()
    panel.set_axis_off()
    cases = [(topology, space) for topology in ("3to2d", "2to3d") for space in ("3d", "2d")]
    for line, (topology, space) in enumerate(cases):
        title = f"{TOPOLOGIES[topology][0]}, projection in {space.upper()}"
        panel.text(-0.15, line - 0.36, title, fontsize=11, weight="bold", va="bottom")
        for column, (name, shape) in enumerate(projection_steps(topology, space)):
            _box(panel, 1.5 * column, line, name, shape)
            if column:
                _arrow(panel, (1.5 * column - 0.35, line), (1.5 * column, line))
    panel.set_xlim(-0.2, 5.8)
    panel.set_ylim(3.5, -0.6)
    return figure


def projection_steps(topology, space, level=2):
    """Name and shape of each feature between encoder and decoder of one level, read from a real bridge."""
    network = meta_network(settings(topology=topology, projection=space))
    bridge = network.bridges[level - 1]
    feature = dict(shapes(network))[f"encoder {level}"]
    steps = [("encoder", feature)]

    def record(name):
        return lambda _module, inputs, output: steps.extend(
            [("unfold" if len(inputs[0].shape) == 5 else "fold", inputs[0].shape[1:]), (name, output.shape[1:])]
        )

    bridge.project.register_forward_hook(record("projection"))
    if isinstance(bridge, DepthToChannel) and not isinstance(bridge.lateral, nn.Identity):
        bridge.lateral.register_forward_hook(record("lateral"))
    with torch.no_grad():
        output = bridge(torch.zeros(1, *feature, device="meta"))
    if isinstance(bridge, ChannelToDepth):
        steps.append(("unfold", output.shape[1:]))
    changed = [steps[0], *(new for old, new in zip(steps, steps[1:], strict=False) if tuple(new[1]) != tuple(old[1]))]
    return [(name, tuple(shape)) for name, shape in changed]


def interpolation():
    """The planes before and after the network, for each place of the interpolation."""
    figure = canvas(11, 4.6, dpi=120)
    panel = figure.subplots()
    panel.set_axis_off()
    columns = ("sparse view", "input of the network", "output of the network", "prediction")
    for column, title in enumerate(columns):
        panel.text(1.5 * column + 0.5, -0.62, title, ha="center", fontsize=11)
    for line, (name, counts) in enumerate(interpolation_planes().items()):
        panel.text(-0.12, line, name, ha="right", va="center", fontsize=11, weight="bold")
        for column, planes in enumerate(counts):
            _planes(panel, 1.5 * column, line, planes, counts)
            if column:
                step = _STEPS.get((name, column), "")
                _arrow(panel, (1.5 * column - 0.45, line), (1.5 * column - 0.05, line))
                panel.text(1.5 * column - 0.25, line - 0.1, step, ha="center", va="bottom", fontsize=8.5)
    panel.set_xlim(-0.75, 5.6)
    panel.set_ylim(2.6, -0.8)
    return figure


_STEPS = {
    ("prefix", 1): "repeat each\nplane r times",
    ("prefix", 2): "network",
    ("postfix", 2): "network",
    ("postfix", 3): "learned\ndeconvolution",
    ("none", 2): "network with\n2D decoder",
}


def interpolation_planes(ratio=RATIO):
    """Planes of the view, the input and the output of the network, and the prediction, for each interpolation."""
    found = {}
    for name, kind in INTERPOLATIONS.items():
        chosen = settings(interpolation=name, ratio=ratio)
        way = kind(chosen)
        view = torch.zeros(1, 1, chosen.depth // ratio, 1, 1)
        inside = torch.zeros(1, 1, way.output_depth, 1, 1)
        found[name] = (view.shape[2], way.before(view).shape[2], way.output_depth, way.after(inside).shape[2])
    return found


def _planes(panel, x, y, planes, counts):
    few, many = min(counts), max(counts)
    step = 0.56 / many
    for number in range(planes):
        height = y + 0.28 - number * step * many / planes
        panel.plot([x + 0.1, x + 0.9], [height, height], color=SPARSE if planes == few else DENSE, linewidth=1.4)
    panel.text(x + 0.5, y + 0.4, f"{planes} planes", ha="center", va="center", fontsize=9)


def _box(panel, x, y, name, shape):
    fill = FILL[len(shape) - 1]
    outline = {"boxstyle": "round,pad=0.03", "facecolor": fill, "edgecolor": GREY}
    panel.add_patch(FancyBboxPatch((x + 0.03, y - 0.23), 1.09, 0.46, linewidth=0.9, **outline))
    panel.text(x + 0.575, y - 0.09, name, ha="center", va="center", fontsize=9.5)
    panel.text(x + 0.575, y + 0.11, " × ".join(map(str, shape)), ha="center", va="center", fontsize=9)


def _arrow(panel, start, end):
    panel.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0})


PICTURES = {
    "sparse-view.png": sparse_view,
    "topologies.png": topologies,
    "projection.png": projection,
    "interpolation.png": interpolation,
}


def draw(folder):
    """Draw all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with own_settings():
        for name, picture in PICTURES.items():
            figure = picture()
            (folder / name).write_bytes(render(figure, name.rpartition(".")[2]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/site_tools/pictures.py FOLDER")
    draw(Path(sys.argv[1]))
