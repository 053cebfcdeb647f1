"""The widget: controls around `layers.predicted_layers`, which runs in a thread."""

from pathlib import Path
from threading import Event
from typing import Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FileEdit,
    FloatSpinBox,
    Label,
    ProgressBar,
    PushButton,
    Select,
)
from napari.layers import Image
from napari.qt.threading import FunctionWorker, create_worker
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal

from sparsessp import Model, load_model
from sparsessp.errors import SparseSSPError
from sparsessp.napari.layers import Cancelled, LayerData, LayerStack, predicted_layers, shown_stack, spacing_um

_UNKNOWN = 0.0  # in a field of the spacing


class _Reporter(QObject):
    """Carries progress from the thread that predicts to that of the window."""

    advanced = Signal(int, int)


class PredictWidget(Container):
    """Predicts structures from a layer with transmitted light and adds them as layers.

    Args:
        viewer: The viewer, which napari passes.
    """

    def __init__(self, viewer: Viewer):
        self.viewer = viewer
        self.model: Model | None = None
        self.worker: FunctionWorker | None = None
        self._cancelled, self._reporter = Event(), _Reporter()
        self.path = FileEdit(label="model", filter="*.pt", tooltip="model file of sparsessp")
        self.layer = ComboBox(label="transmitted light", choices=self._images)
        self.structures = Select(label="structures", choices=())
        self.spacing = [
            FloatSpinBox(label=f"{axis} spacing, µm", min=0, max=1000, step=0.01, tooltip="0: unknown")
            for axis in "zyx"
        ]
        self.force = CheckBox(label="force", tooltip="accept a z spacing that the model was not trained for")
        self.button, self.cancel = PushButton(text="Predict"), PushButton(text="Cancel", enabled=False)
        self.bar, self.message = ProgressBar(label="progress", min=0, max=1, value=0), Label(value="Choose a model.")
        super().__init__(
            widgets=[self.path, self.layer, self.structures, *self.spacing, self.force]
            + [self.button, self.cancel, self.bar, self.message]
        )
        self.message.native.setWordWrap(True)
        self.path.changed.connect(self._load)
        self.layer.changed.connect(self._read_spacing)
        self.button.changed.connect(self.predict)
        self.cancel.changed.connect(self._cancelled.set)
        self._reporter.advanced.connect(self._advance)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(lambda: self.layer.reset_choices())
        self._read_spacing()

    def _images(self, _: ComboBox) -> list[Image]:
        """Return the image layers of the viewer."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def _load(self, path: Path) -> None:
        """Load the chosen model and offer its structures."""
        self.model, self.structures.choices = None, ()
        try:
            self.model = load_model(path)
        except SparseSSPError as error:
            self.message.value = str(error)
            return
        card = self.model.card
        self.structures.choices = self.structures.value = card.trained
        facts = "trained on simulated images" if card.data and card.data.simulated else ""
        spacing = f"planes {card.spacing_um:.4g} µm apart" if card.spacing_um else ""
        self.message.value = ", ".join(filter(None, (card.network.name, spacing, facts)))

    def _read_spacing(self) -> None:
        """Show the spacing of the chosen layer."""
        layer = self.layer.value
        for field, edge in zip(self.spacing, spacing_um(layer) if layer else (None,) * 3, strict=True):
            field.value = edge or _UNKNOWN

    def predict(self) -> None:
        """Start the prediction in a thread."""
        try:
            if self.model is None:
                raise SparseSSPError("choose a model file first")
            if self.layer.value is None:
                raise SparseSSPError("open an image with transmitted light first")
            layer = self.layer.value
            stack = shown_stack(layer, layer.world_to_data(self.viewer.dims.point))
        except SparseSSPError as error:
            self.message.value = str(error)
            return
        self._cancelled.clear()
        self._busy(True)
        settings = [field.value or None for field in self.spacing], list(self.structures.value), self.force.value
        self.worker = create_worker(self._run, self.model, stack, *settings, _start_thread=False)
        self.worker.returned.connect(self._show)
        self.worker.finished.connect(lambda: self._busy(False))
        self.worker.start()

    def _run(self, model: Model, stack: LayerStack, *settings: Any) -> list[LayerData] | str:
        """Return the predicted layers, or why there are none; in the thread."""
        try:
            return predicted_layers(model, stack, *settings, progress=self._report)
        except Cancelled:
            return "Cancelled."
        except SparseSSPError as error:
            return str(error)

    def _report(self, done: int, total: int) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        self._reporter.advanced.emit(done, total)

    def _advance(self, done: int, total: int) -> None:
        self.bar.max, self.bar.value = total, done

    def _show(self, found: list[LayerData] | str) -> None:
        if isinstance(found, str):
            self.message.value = found
            return
        for values, settings, _ in found:
            self.viewer.add_image(values, **settings)
        self.message.value = f"{len(found)} structures predicted."

    def _busy(self, busy: bool) -> None:
        self.button.enabled, self.cancel.enabled = not busy, busy
        self.bar.value = 0
        if busy:
            self.message.value = "Predicting."
