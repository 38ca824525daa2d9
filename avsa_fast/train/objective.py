"""Training objective: model, temperature and the stage's loss in one module that DistributedDataParallel can wrap."""

from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from avsa_fast.config import MAX_TEMPERATURE, MIN_TEMPERATURE, Config, Stage
from avsa_fast.models import Embeddings, Model

from .matching import avc_matches, avsa_matches

MAX_CANDIDATES = 256  # maximum number of candidates for the AVC training accuracy


class Objective(nn.Module):
    """Computes a stage's loss for a batch, and metrics to monitor."""

    def __init__(self, model: Model, config: Config, group: Any = None) -> None:
        """Adds the temperature to a model.

        Args:
            model: The network.
            config: Temperature, negatives and precision of the loss.
            group: Process group over whose ranks the batch is distributed, or None.
        """
        super().__init__()
        self.model, self.negatives, self.group = model, config.negatives, group
        self.decay_norms, self.precision = config.decay_norms, config.loss_precision
        initial = torch.tensor(log(config.temperature), device=next(model.parameters()).device)
        self.log_temperature = nn.Parameter(initial, requires_grad=config.learn_temperature)
        self.fixed_temperature = None if config.learn_temperature else config.temperature

    def forward(
        self, stage: Stage, crops: Tensor, features: Tensor, recordings: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Embeds a batch and computes its loss.

        Args:
            stage: "avc" or "avsa".
            crops: float32 [B, K, 3, F, h, w].
            features: float32 [B, K, channels, n_mels, n_frames].
            recordings: As for `compare`.

        Returns:
            Loss [] and metrics, as from `compare`.
        """
        return self.compare(stage, self.model(crops, features), recordings)

    def compare(
        self, stage: Stage, embeddings: Embeddings, recordings: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes the loss and metrics of a batch's embeddings.

        Args:
            stage: "avc" or "avsa".
            embeddings: Embeddings of this rank's whole batch.
            recordings: int64 [B], numbers of the clips' recordings, of which other clips are then no negatives.

        Returns:
            The loss [], and scalar tensors by name: "accuracy" (matching within this rank's batch), "collapse" (0 if
            embeddings spread evenly over the sphere, 1 if they are all equal) and "temperature".
        """
        temperature = self.fixed_temperature or self.log_temperature.exp()
        if stage == "avc":
            loss = self.model.avc_loss(embeddings, temperature, self.group, recordings, self.precision)
            with torch.no_grad():
                matches = avc_matches(Embeddings(*(x[:MAX_CANDIDATES] for x in embeddings)))
        else:
            predictions = self.model.predictions(embeddings)
            loss = self.model.avsa_loss(
                embeddings, predictions, temperature, self.negatives, self.group, recordings, self.precision
            )
            with torch.no_grad():
                matches = avsa_matches(embeddings, predictions)
        with torch.no_grad():
            metrics = {
                "accuracy": matches.float().mean(),
                "collapse": (collapse(embeddings.video_projection) + collapse(embeddings.audio_projection)) / 2,
                "temperature": self.log_temperature.exp(),
            }
        return loss, metrics

    def trainable_parameters(self, stage: str) -> list[nn.Parameter]:
        """Freezes the parameters that a stage does not use, as DistributedDataParallel requires; returns the others.

        Args:
            stage: "avc", which freezes the predicting transformers, or "avsa".

        Returns:
            The model's trainable parameters, without the temperature.
        """
        predicting = (
            self.model.video_to_audio, self.model.audio_to_video, self.model.predict_video, self.model.predict_audio
        )  # fmt: skip
        for module in predicting:
            module.requires_grad_(stage == "avsa")
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def parameter_groups(self, stage: str) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Returns the parameters that a stage trains, those with weight decay and those without.

        Args:
            stage: As for `trainable_parameters`.
        """
        trained = self.trainable_parameters(stage)
        decayed = [parameter for parameter in trained if self.decay_norms or parameter.ndim > 1]
        others = [] if self.decay_norms else [parameter for parameter in trained if parameter.ndim <= 1]
        return decayed, others + ([self.log_temperature] if self.log_temperature.requires_grad else [])

    @torch.no_grad()
    def bound_temperature(self) -> None:
        """Moves the temperature to the nearest bound after a step beyond it; its gradient stays that of the loss."""
        self.log_temperature.clamp_(log(MIN_TEMPERATURE), log(MAX_TEMPERATURE))


def collapse(projections: Tensor) -> Tensor:
    """Computes the norm of the mean of normalised projections, a measure of representation collapse.

    Args:
        projections: [..., P].

    Returns:
        [], float32: 1 if all projections have the same direction, near 0 if they are spread over the sphere.
    """
    return normalize(projections.flatten(0, -2).float(), dim=1).mean(dim=0).norm()
