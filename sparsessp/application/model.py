"""Trained models in Python: load one, predict stacks in memory.

model = sparsessp.load_model("artifacts/models/tgnet-3to2d-prefix-r2.pt")
fluorescence_TDHW = model.predict(stack_DHW, spacing_um=(0.58, 0.29, 0.29), structures=["dna", "nucleolus"])
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import requests
import torch
from tqdm import tqdm

from sparsessp.application.card import ModelCard
from sparsessp.application.grid import Fit, fit_stack, model_view, recorded_plane
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints
from sparsessp.learning.bands import Band, count_windows, predict_bands
from sparsessp.networks.network import MultiNetwork, Network
from sparsessp.schema import MODEL_FILE
from sparsessp.support.device import default_device
from sparsessp.support.files import atomic_write

_CHUNK = 1 << 20
_STACK = "the stack"
Stack = TypeVar("Stack", np.ndarray, torch.Tensor)
Progress = Callable[[int, int], object]


class Model:
    """A trained network with its card.

    Attributes:
        network: The network, in evaluation mode.
        card: Facts about it: structures, voxel size, scores, training data.
    """

    def __init__(self, network: Network | MultiNetwork, card: ModelCard):
        self.network, self.card = network, card

    def predict(
        self,
        stack_DHW: Stack,
        spacing_um: Sequence[float],
        structures: str | Sequence[str] | None = None,
        *,
        tta: bool = False,
        force: bool = False,
        progress: bool | Progress = False,
    ) -> Stack:
        """Predict the fluorescence of structures from a transmitted-light stack.

        Args:
            stack_DHW: Raw transmitted light, any real type, lowest plane first; a numpy array or a tensor.
            spacing_um: Distance (z, y, x) between its planes, rows and columns in micrometres.
            structures: Keys of the structures; all that the model was trained on by default.
            tta: Test-time augmentation: average over flips and quarter turns, which takes eight times as long.
            force: Predict although the model was not trained for this distance between planes.
            progress: Whether to show a progress bar; or a function of the number of finished windows and that of all,
                which may stop the prediction by raising an exception.

        Returns:
            (T, D', H, W) float32, z-scored fluorescence on the dense planes and the recorded rows and columns; a
            tensor on the stack's device if the stack is a tensor.

        Raises:
            SparseSSPError: The stack or its spacing does not suit the model, or a structure is unknown to it.
        """
        return self._predict(stack_DHW, spacing_um, structures, tta, force, progress)[0]

    def predict_with_spread(
        self,
        stack_DHW: Stack,
        spacing_um: Sequence[float],
        structures: str | Sequence[str] | None = None,
        *,
        force: bool = False,
        progress: bool | Progress = False,
    ) -> tuple[Stack, Stack]:
        """Predict with test-time augmentation, and return the mean and its uncertainty.

        Returns:
            Two arrays as `predict` returns: mean and standard deviation over the eight flips and quarter turns.
        """
        return self._predict(stack_DHW, spacing_um, structures, True, force, progress)

    def _predict(
        self,
        stack: Any,
        spacing: Sequence[float],
        structures: Any,
        tta: bool,
        force: bool,
        progress: bool | Progress,
    ) -> tuple[Any, Any]:
        tensor = isinstance(stack, torch.Tensor)
        values = stack.detach().cpu().numpy() if tensor else np.asarray(stack)
        if values.ndim != 3 or values.dtype.kind not in "uif":
            raise SparseSSPError(
                f"the stack has shape {values.shape} and type {values.dtype}; expected numbers, planes x rows x columns"
            )
        tasks = self.tasks(structures)
        fit = fit_stack(self.card, values.shape, spacing, _STACK, force)
        view = model_view(values[:: fit.step], fit, _STACK)
        result = np.empty((len(tasks) * (1 + tta), fit.planes, *fit.rows_columns), np.float32)
        with _counter(self.windows(fit), progress) as finished:
            for band in self.bands(view, fit, tasks, tta, finished):
                result[:, :, band.first : band.first + band.values.shape[2]] = band.values
        if fit.rows_columns != fit.recorded:
            result = np.stack([[recorded_plane(plane, fit) for plane in stack] for stack in result])
        found = torch.from_numpy(result).to(stack.device) if tensor else result
        return (found[::2], found[1::2]) if tta else (found, None)

    def tasks(self, structures: str | Sequence[str] | None) -> list[int]:
        """Return the task indices of structures, all that the model was trained on by default.

        Raises:
            SparseSSPError: A structure is unknown, or the model was not trained on it.
        """
        keys = self.card.trained if structures is None else [structures] if isinstance(structures, str) else structures
        if not keys:
            raise SparseSSPError(f"no structure is given; this model predicts: {', '.join(self.card.trained)}")
        for key in keys:
            if key not in self.card.trained:
                raise SparseSSPError(
                    f"structure {key!r} is unknown to the model; this model predicts: {', '.join(self.card.trained)}"
                )
        return [self.card.network.structures.index(key) for key in dict.fromkeys(keys)]

    def windows(self, fit: Fit) -> int:
        """Return how many windows a prediction computes."""
        windows = self.card.windows
        return count_windows(self.network, fit.planes, (fit.used, *fit.rows_columns), windows.window, windows.overlap)

    def bands(
        self, view_dhw: np.ndarray, fit: Fit, tasks: Sequence[int], tta: bool, finished: Callable[[int], object]
    ) -> Iterator[Band]:
        """Predict band by band on the model's grid; with `tta`, each task's mean is followed by its spread."""
        windows = self.card.windows
        return predict_bands(self.network, view_dhw, fit.planes, tasks, windows.window, windows.overlap, tta, finished)


@contextmanager
def _counter(total: int, progress: bool | Progress) -> Iterator[Callable[[int], object]]:
    """Yield a function that receives the number of windows finished since its last call."""
    if isinstance(progress, bool):
        with tqdm(total=total, desc="predict", unit="window", disable=not progress) as bar:
            yield bar.update
        return
    done = 0

    def finished(windows: int) -> None:
        nonlocal done
        done += windows
        progress(done, total)

    yield finished


def load_model(source: str | Path, device: str | torch.device | None = None) -> Model:
    """Load a trained model.

    Args:
        source: A model file, the folder of a run such as artifacts/runs/NAME, or the URL of a model file.
        device: Device that predicts; by default the one of SPARSESSP_DEVICE, otherwise CUDA if available.

    Raises:
        SparseSSPError: There is no such model, the file is damaged, or it was written by another version.
    """
    path, content = read_content(source)
    network = checkpoints.build_saved(content, str(path)).to(device or default_device())
    return Model(network, ModelCard.of(content, str(path)))


def read_content(source: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return the file of a model and its content; arguments and errors as for `load_model`."""
    if str(source).startswith(("http://", "https://")):
        path = _downloaded(str(source))
    else:
        path = Path(source)
        if path.is_dir():
            path = path / MODEL_FILE
    return path, checkpoints.load(path)


def _downloaded(url: str) -> Path:
    """Return the local copy of a model file, downloaded at its first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparsessp"
    path = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.pt"
    if path.exists():
        return path
    with atomic_write(path) as partial:
        try:
            _download(url, partial)
        except requests.RequestException as error:
            raise SparseSSPError(f"{url}: the model cannot be downloaded ({error})") from None
        checkpoints.load(partial)  # a damaged or foreign file is not kept
    return path


def _download(url: str, path: Path) -> None:
    with requests.get(url, stream=True, timeout=60) as answer, path.open("wb") as file:
        answer.raise_for_status()
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)
