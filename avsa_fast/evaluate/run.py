"""A trained run, ready to be asked for embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avsa_fast.data.batches import batch_of
from avsa_fast.data.samples import Sample
from avsa_fast.data.views import make_crops, make_features
from avsa_fast.errors import UserError
from avsa_fast.models import Model
from avsa_fast.train.checkpoint import load_weights
from avsa_fast.train.config import Config, load_config


@dataclass(frozen=True)
class Run:
    """A run's folder, choices and network (in evaluation mode, on `device`)."""

    folder: Path
    config: Config
    model: Model
    device: torch.device

    @property
    def aligned(self) -> bool:
        """Whether the run went through AVSA, whose transformers then predict each modality from the other."""
        return self.config.stages == "both"

    def video(self, samples: Sequence[Sample]) -> Tensor:
        """Video embeddings [B, K, E] of what is seen in the samples' directions."""
        return self.encode("video", make_crops(batch_of(samples), self.config.views, self.device))

    def audio(self, samples: Sequence[Sample]) -> Tensor:
        """Audio embeddings [B, K, E] of what is heard in the samples' directions."""
        return self.encode("audio", make_features(batch_of(samples), self.config.views, self.device))

    @torch.inference_mode()
    def encode(self, modality: Literal["video", "audio"], views: Tensor) -> Tensor:
        """Embeddings [B, K, E] of crops or features [B, K, ...] as `make_crops` and `make_features` give them."""
        encoder = self.model.video_encoder if modality == "video" else self.model.audio_encoder
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            embeddings: Tensor = encoder(views.to(self.device).flatten(0, 1))
        return embeddings.float().unflatten(0, views.shape[:2])

    def similarity(self, video: Tensor, audio: Tensor) -> Tensor:
        """How well the crops of N samples go with the sound views of M: [N, K, E], [M, K, E] -> cosines [N, M, K].

        After AVC the projections are compared; after AVSA each projection with the one predicted from the other
        modality's K views, and the two cosines averaged.
        """
        return self._compare("nkp,mkp->nmk", video, audio)

    def alignment(self, video: Tensor, audio: Tensor) -> Tensor:
        """How well each crop goes with each sound view of the same sample: [N, K, E] twice -> cosines [N, K, K]."""
        return self._compare("nip,njp->nij", video, audio)

    @torch.inference_mode()
    def _compare(self, pairs: str, video: Tensor, audio: Tensor) -> Tensor:
        model = self.model
        seen, heard = normalize(model.video_head(video), dim=-1), normalize(model.audio_head(audio), dim=-1)
        if not self.aligned:
            return torch.einsum(pairs, seen, heard)
        expected_sound = normalize(model.predict_audio(model.video_to_audio(video)), dim=-1)
        expected_picture = normalize(model.predict_video(model.audio_to_video(audio)), dim=-1)
        return (torch.einsum(pairs, expected_sound, heard) + torch.einsum(pairs, seen, expected_picture)) / 2


def load_run(folder: Path, device: torch.device | None = None) -> Run:
    """The run of a folder that `train` filled. Raises UserError naming what is missing or damaged in it."""
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: not the folder of a run: no config.yaml in it")
    if not (folder / "weights.safetensors").is_file():
        raise UserError(f"{folder}: not trained to its end: no weights.safetensors; train --resume goes on with it")
    config = load_config(folder / "config.yaml")
    model = Model(config.model)
    load_weights(model, folder / "weights.safetensors")
    return run_of(folder, config, model, device)


def run_of(folder: Path, config: Config, model: Model, device: torch.device | None = None) -> Run:
    """A run around a network that is already in memory. device: a GPU where there is one, unless given."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Run(folder, config, model.to(device).eval(), device)
