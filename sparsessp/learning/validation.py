"""Errors of a network on whole validation volumes."""

from collections.abc import Sequence

import torch

from sparsessp.config import InferenceSettings, TrainingSettings
from sparsessp.data.samples import Sample
from sparsessp.data.volumes import Stack
from sparsessp.learning import ranks
from sparsessp.learning.device_scores import as_tensor, device_scores
from sparsessp.learning.inference import predict_tensor
from sparsessp.learning.metrics import score
from sparsessp.networks.network import Network

# A volume stays in GPU memory after its first validation if this part of the memory is free then.
_FREE = 1 / 4


def windows(training: TrainingSettings, inference: InferenceSettings) -> InferenceSettings:
    """Return how volumes are predicted in validation, which may have less overlap than tests."""
    if training.validate_overlap is None:
        return inference
    return inference.model_copy(update={"overlap": training.validate_overlap})


class Validation:
    """Validation volumes, and the settings of their prediction.

    On a GPU the volumes stay there from the first validation on, as far as they fit, and so do predictions and scores.
    """

    def __init__(self, samples: Sequence[Sample], inference: InferenceSettings):
        self.samples, self.inference = samples, inference
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def errors(self, network: Network) -> list[float]:
        """Return the mean squared error of each volume; each rank predicts its share of them."""
        device, settings = next(network.parameters()).device, self.inference
        found = []
        for number, sample in list(enumerate(self.samples))[ranks.share(len(self.samples))]:
            view, target = self._volumes(number, sample, device)
            prediction = predict_tensor(network, view, len(target), sample.task, settings.window, settings.overlap)
            if prediction.device.type == "cpu":
                found.append(score(prediction.numpy(), sample.target_DHW).mse)
            else:
                found.append(device_scores(prediction, as_tensor(target, device))[0].mse)
        return ranks.collected(found, len(self.samples))

    def _volumes(
        self, number: int, sample: Sample, device: torch.device
    ) -> tuple[Stack | torch.Tensor, Stack | torch.Tensor]:
        """Return view and target, on the device if they stay there."""
        if device.type == "cpu":
            return sample.view_dHW, sample.target_DHW
        if number not in self.kept:
            pair = (as_tensor(sample.view_dHW, device), as_tensor(sample.target_DHW, device))
            free, total = torch.cuda.mem_get_info(device)
            if free < _FREE * total:
                return pair
            self.kept[number] = pair
        return self.kept[number]
