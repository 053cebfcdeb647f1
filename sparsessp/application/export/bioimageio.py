"""bioimage.io packages: ONNX weights, test tensors, cover and documentation in one zip file. Needs `export`, `report`.

The description follows version 0.5 of the format: https://github.com/bioimage-io/spec-bioimage-io
"""

import hashlib
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from sparsessp import __version__
from sparsessp.application.card import ModelCard
from sparsessp.application.export.network import ExportedNetwork
from sparsessp.application.export.onnx import INPUT, OPSET, OUTPUT, write_onnx
from sparsessp.application.quick_look import write_quick_look
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import atomic_write

FORMAT = "0.5.12"
_AUTHORS = [{"name": "The sparsessp contributors"}]
_CITE = [
    {
        "text": "Zheng et al. SparseSSP: 3D Subcellular Structure Prediction from Sparse-View Transmitted Light "
        "Images. ECCV 2024, pp. 267-283.",
        "url": "https://arxiv.org/abs/2407.02159",
    }
]
_LICENCE = "BSD-3-Clause"
_EPSILON = 1e-6  # added to the standard deviation


def write_package(exported: ExportedNetwork, card: ModelCard, view_dhw: np.ndarray, path: Path) -> None:
    """Write a package, whose tiles are as large as the training's, because group norms depend on the size.

    Args:
        exported: Network, on the CPU.
        card: Card of the model.
        view_dhw: Transmitted light on the model's grid, of which the middle becomes the test input.
        path: File ending in .zip.

    Raises:
        SparseSSPError: The view is smaller than a window, or the voxel size is unknown.
    """
    if card.voxel_um is None:
        raise SparseSSPError("the model file does not record its voxel size, which a package needs")
    window = card.windows.window
    light = _middle(view_dhw, (card.network.depth // card.network.ratio, window, window))
    with torch.no_grad():
        normalised = (light - light.mean()) / (light.std() + _EPSILON)
        predicted = exported(torch.from_numpy(normalised[None, None])).numpy()
    with tempfile.TemporaryDirectory() as folder:
        onnx, cover = Path(folder) / "weights.onnx", Path(folder) / "cover.png"
        write_onnx(exported, window, onnx)
        keys = [card.network.structures[task] for task in exported.tasks]
        z, _, x = card.voxel_um
        stacks = dict(zip(keys[:3], predicted[0], strict=False))
        write_quick_look(cover, light[len(light) // 2], stacks, (card.network.depth - 1) * z, x)
        files = {"weights.onnx": onnx.read_bytes(), "cover.png": cover.read_bytes()}
    files |= {"test_input.npy": _npy(light[None, None]), "test_output.npy": _npy(predicted)}
    files["README.md"] = (card.markdown() + _attribution(card)).encode()
    description = _description(card, keys, files)
    files["rdf.yaml"] = yaml.safe_dump(description, sort_keys=False, allow_unicode=True).encode()
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _middle(view: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if any(have < need for have, need in zip(view.shape, shape, strict=True)):
        raise SparseSSPError(f"the sample has {view.shape} voxels on the model's grid; at least {shape} are needed")
    starts = [(have - need) // 2 for have, need in zip(view.shape, shape, strict=True)]
    return view[tuple(slice(first, first + n) for first, n in zip(starts, shape, strict=True))].astype(np.float32)


def _npy(values: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _file(name: str, files: dict[str, bytes]) -> dict[str, str]:
    return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}


def _space(axis: str, size: Any, edge_um: float, **more: Any) -> dict[str, Any]:
    return {"type": "space", "id": axis, "size": size, "scale": float(edge_um), "unit": "micrometer", **more}


def _description(card: ModelCard, keys: list[str], files: dict[str, bytes]) -> dict[str, Any]:
    """Return the content of rdf.yaml."""
    network, window = card.network, card.windows.window
    assert card.voxel_um is not None  # checked by the caller
    z, y, x = card.voxel_um
    halo = int(window * card.windows.overlap / 2)
    lateral = [
        _space(axis, {"tensor_id": INPUT, "axis_id": axis}, edge, halo=halo) for axis, edge in (("y", y), ("x", x))
    ]
    scored = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "z", "y", "x"], "eps": _EPSILON}}
    return {
        "type": "model",
        "format_version": FORMAT,
        "name": f"SparseSSP {network.name}",
        "description": f"Dense 3D fluorescence of {len(keys)} subcellular structures from every "
        f"{network.ratio}. plane of a transmitted-light stack.",
        "authors": _AUTHORS,
        "cite": _CITE,
        "license": _LICENCE,
        "documentation": _file("README.md", files),
        "covers": [_file("cover.png", files)],
        "tags": ["fluorescence-prediction", "transmitted-light", "3d", "in-silico-labeling", "sparsessp"],
        "config": {"sparsessp": {"version": __version__, "settings": network.model_dump(mode="json")}},
        "inputs": [
            {
                "id": INPUT,
                "description": "Transmitted light, lowest plane first",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["transmitted_light"]},
                    _space("z", network.depth // network.ratio, z * network.ratio),
                    _space("y", window, y),
                    _space("x", window, x),
                ],
                "test_tensor": _file("test_input.npy", files),
                "data": {"type": "float32"},
                "preprocessing": [scored],
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": "Predicted fluorescence, z-scored",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": keys},
                    _space("z", network.depth, z),
                    *lateral,
                ],
                "test_tensor": _file("test_output.npy", files),
                "data": {"type": "float32"},
            }
        ],
        "weights": {"onnx": {**_file("weights.onnx", files), "opset_version": OPSET}},
    }


def _attribution(card: ModelCard) -> str:
    """Return the section that names the sources of method and data."""
    lines = [f"Method: {_CITE[0]['text']} {_CITE[0]['url']}", "Reproduced and trained with sparsessp, BSD-3-Clause."]
    if card.data:
        lines.append(f"Training images: {card.data.name}. {card.data.licence}")
    tile = "Predict with tiles of the stated size: in larger ones, group norms differ from those of the training."
    return "\n".join(["\n## Attribution\n", *(f"- {line}" for line in lines), "\n## Tiles\n", tile, ""])
