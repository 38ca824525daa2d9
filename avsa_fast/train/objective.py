"""What a step minimises: the network, the temperature and the stage's loss, as one module that DDP can wrap."""

from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from avsa_fast.models import Embeddings, Model

from .config import Config, Stage
from .matching import avc_matches, avsa_matches

MIN_TEMPERATURE = 0.01  # a learned one stays above
MOST_RIVALS = 256  # samples among which the training accuracy of AVC chooses, at most


class Objective(nn.Module):
    """The stage's loss of a batch, and figures to watch.

    group: None, or the process group over whose ranks the batch is spread.
    """

    def __init__(self, model: Model, config: Config, group: Any = None) -> None:
        super().__init__()
        self.model, self.negatives, self.group = model, config.negatives, group
        start = torch.tensor(log(config.temperature), device=next(model.parameters()).device)
        self.log_temperature = nn.Parameter(start, requires_grad=config.learn_temperature)
        self.fixed = None if config.learn_temperature else config.temperature

    def forward(self, stage: Stage, crops: Tensor, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """crops, features: as Model takes them. Returns as `compare` does."""
        return self.compare(stage, self.model(crops, features))

    def compare(self, stage: Stage, embeddings: Embeddings) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss [] of a whole batch's embeddings, and figures []: accuracy, collapse, temperature.

        accuracy: of matching within the rank's part of the batch. collapse: 0 where embeddings spread evenly over the
        sphere, 1 where they are all the same.
        """
        temperature = self.fixed or self.log_temperature.exp().clamp(min=MIN_TEMPERATURE)
        if stage == "avc":
            loss = self.model.avc_loss(embeddings, temperature, self.group)
            with torch.no_grad():
                matches = avc_matches(Embeddings(*(x[:MOST_RIVALS] for x in embeddings)))
        else:
            predictions = self.model.predictions(embeddings)
            loss = self.model.avsa_loss(embeddings, predictions, temperature, self.negatives, self.group)
            with torch.no_grad():
                matches = avsa_matches(embeddings, predictions)
        with torch.no_grad():
            figures = {
                "accuracy": matches.float().mean(),
                "collapse": (collapse(embeddings.video_projection) + collapse(embeddings.audio_projection)) / 2,
                "temperature": self.log_temperature.exp().clamp(min=MIN_TEMPERATURE),
            }
        return loss, figures

    def trained(self, stage: Stage) -> list[nn.Parameter]:
        """The parameters that a stage trains; the others are frozen, as DDP wants to know beforehand."""
        predicting = (
            self.model.video_to_audio, self.model.audio_to_video, self.model.predict_video, self.model.predict_audio
        )  # fmt: skip
        for module in predicting:
            module.requires_grad_(stage == "avsa")
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def collapse(projections: Tensor) -> Tensor:
    """Length of the mean of projections [..., P] on the unit sphere: 1 where all are the same, near 0 where spread."""
    return normalize(projections.flatten(0, -2).float(), dim=1).mean(dim=0).norm()
