"""A trained run loaded for inference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avsa_fast.config import Config, load_config
from avsa_fast.data.batches import batch_of
from avsa_fast.data.samples import Sample
from avsa_fast.data.views import make_crops, make_features
from avsa_fast.errors import UserError
from avsa_fast.models import Model
from avsa_fast.models.weights import load_weights


@dataclass(frozen=True)
class Run:
    """A trained run: its folder, its configuration and its network, in evaluation mode on `device`."""

    folder: Path
    config: Config
    model: Model
    device: torch.device

    @property
    def aligned(self) -> bool:
        """Whether the run includes the AVSA stage, whose transformers predict each modality from the other."""
        return self.config.stages == "both"

    def video(self, samples: Sequence[Sample]) -> Tensor:
        """Video embeddings, float32 [B, K, E], of the crops in the K directions of each of B samples."""
        return self.encode("video", make_crops(batch_of(samples), self.config.views, self.device))

    def audio(self, samples: Sequence[Sample]) -> Tensor:
        """Audio embeddings, float32 [B, K, E], of the sound views in the K directions of each of B samples."""
        return self.encode("audio", make_features(batch_of(samples), self.config.views, self.device))

    @torch.inference_mode()
    def encode(self, modality: Literal["video", "audio"], views: Tensor) -> Tensor:
        """Embeds views that are already prepared.

        Args:
            modality: Which encoder to use.
            views: [B, K, ...], crops from `make_crops` or features from `make_features`.

        Returns:
            float32 [B, K, E].
        """
        encoder = self.model.video_encoder if modality == "video" else self.model.audio_encoder
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            embeddings: Tensor = encoder(views.to(self.device).flatten(0, 1))
        return embeddings.float().unflatten(0, views.shape[:2])

    def similarity(self, video: Tensor, audio: Tensor) -> Tensor:
        """Similarity between the crops of N samples and the sound views of M samples, direction by direction.

        For AVC runs this is the cosine similarity of the projections. For AVSA runs, each projection is compared with
        the one predicted from the K views of the other modality, and the two cosine similarities are averaged.

        Args:
            video: Video embeddings [N, K, E].
            audio: Audio embeddings [M, K, E].

        Returns:
            [N, M, K], in [-1, 1].
        """
        return self._compare("nkp,mkp->nmk", video, audio)

    def alignment(self, video: Tensor, audio: Tensor) -> Tensor:
        """Similarity between each crop and each sound view of the same sample, computed as in `similarity`.

        Args:
            video: Video embeddings [N, K, E].
            audio: Audio embeddings [N, K, E].

        Returns:
            [N, K (crops), K (sound views)], in [-1, 1].
        """
        return self._compare("nip,njp->nij", video, audio)

    @torch.inference_mode()
    def _compare(self, pairs: str, video: Tensor, audio: Tensor) -> Tensor:
        """Cosine similarities of the pairs that an einsum equation selects."""
        model = self.model
        seen, heard = normalize(model.video_head(video), dim=-1), normalize(model.audio_head(audio), dim=-1)
        if not self.aligned:
            return torch.einsum(pairs, seen, heard)
        expected_sound = normalize(model.predict_audio(model.video_to_audio(video)), dim=-1)
        expected_picture = normalize(model.predict_video(model.audio_to_video(audio)), dim=-1)
        return (torch.einsum(pairs, expected_sound, heard) + torch.einsum(pairs, seen, expected_picture)) / 2


def load_run(folder: Path, device: torch.device | None = None) -> Run:
    """Loads a trained run.

    Args:
        folder: Output folder of `python -m avsa_fast.train`.
        device: Default: the GPU if there is one, else the CPU.

    Returns:
        The run.

    Raises:
        UserError: If the folder is not one of a run, the training is not finished, or a file is damaged.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: not the folder of a run: no config.yaml in it")
    if not (folder / "weights.safetensors").is_file():
        raise UserError(f"{folder}: not trained to its end: no weights.safetensors; train --resume goes on with it")
    config = load_config(folder / "config.yaml")
    model = Model(config.model)
    load_weights(model, folder / "weights.safetensors")
    return run_of(folder, config, model, device)


def run_of(folder: Path, config: Config, model: Model, device: torch.device | None = None) -> Run:
    """Wraps a network that is already in memory. Default device: the GPU if there is one, else the CPU."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Run(folder, config, model.to(device).eval(), device)
