"""A trained run, loaded for inference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avsa_fast.config import Config, load_config
from avsa_fast.data.batches import batch_of
from avsa_fast.data.reader import Modality
from avsa_fast.data.samples import Sample
from avsa_fast.data.views import make_crops, make_features
from avsa_fast.errors import UserError
from avsa_fast.models import Model
from avsa_fast.models.weights import load_weights


@dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        folder: Folder of the run.
        config: Configuration of the run.
        model: The network, in evaluation mode.
        device: Device of the network.
    """

    folder: Path
    config: Config
    model: Model
    device: torch.device

    @property
    def aligned(self) -> bool:
        """Whether the run includes the AVSA stage, whose transformers predict each modality from the other."""
        return self.config.stages == "both"

    def video(self, samples: Sequence[Sample]) -> Tensor:
        """Embeds the crops of samples.

        Args:
            samples: B samples with K directions each.

        Returns:
            Video embeddings, float32 [B, K, E].
        """
        return self.encode("video", make_crops(batch_of(samples), self.config.views, self.device))

    def audio(self, samples: Sequence[Sample]) -> Tensor:
        """Embeds the sound views of samples.

        Args:
            samples: B samples with K directions each.

        Returns:
            Audio embeddings, float32 [B, K, E].
        """
        return self.encode("audio", make_features(batch_of(samples), self.config.views, self.device))

    @torch.inference_mode()
    def encode(self, modality: Modality, views: Tensor) -> Tensor:
        """Embeds views that are already prepared.

        Args:
            modality: Which encoder to use.
            views: float32 [B, K, ...], crops from `make_crops` or features from `make_features`.

        Returns:
            float32 [B, K, E].
        """
        encoder = self.model.video_encoder if modality == "video" else self.model.audio_encoder
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            embeddings: Tensor = encoder(views.to(self.device).flatten(0, 1))
        return embeddings.float().unflatten(0, views.shape[:2])

    @torch.inference_mode()
    def translated(self, video: Tensor) -> Tensor:
        """Translates the embeddings of a sample's crops by the video-to-audio transformer.

        Args:
            video: Video embeddings, float32 [B, K, E].

        Returns:
            float32 [B, K, E]; `video` itself if the run has no AVSA stage, whose transformer is not trained.
        """
        if not self.aligned:
            return video
        output: Tensor = self.model.video_to_audio(video)
        return output

    def similarity(self, video: Tensor, audio: Tensor) -> Tensor:
        """Compares the crops of N samples with the sound views of M samples, direction by direction.

        For AVC runs this is the cosine similarity of the projections. For AVSA runs, each projection is compared with
        the one predicted from the K views of the other modality, and the two cosine similarities are averaged.

        Args:
            video: Video embeddings, float32 [N, K, E].
            audio: Audio embeddings, float32 [M, K, E].

        Returns:
            float32 [N, M, K], in [-1, 1].
        """
        return self._compare("nkp,mkp->nmk", video, audio)

    def alignment(self, video: Tensor, audio: Tensor) -> Tensor:
        """Compares each crop with each sound view of the same sample, as in `similarity`.

        Args:
            video: Video embeddings, float32 [N, K, E].
            audio: Audio embeddings, float32 [N, K, E].

        Returns:
            float32 [N, K (crops), K (sound views)], in [-1, 1].
        """
        return self._compare("nip,njp->nij", video, audio)

    @torch.inference_mode()
    def _compare(self, pairs: str, video: Tensor, audio: Tensor) -> Tensor:
        """Cosine similarities of the pairs that an einsum equation selects."""
        model = self.model
        video_projection = normalize(model.video_head(video), dim=-1)
        audio_projection = normalize(model.audio_head(audio), dim=-1)
        if not self.aligned:
            return torch.einsum(pairs, video_projection, audio_projection)
        predicted_audio = normalize(model.predict_audio(model.video_to_audio(video)), dim=-1)
        predicted_video = normalize(model.predict_video(model.audio_to_video(audio)), dim=-1)
        by_audio = torch.einsum(pairs, predicted_audio, audio_projection)
        by_video = torch.einsum(pairs, video_projection, predicted_video)
        return (by_audio + by_video) / 2


def load_run(folder: Path, device: torch.device | None = None) -> Run:
    """Loads a trained run.

    Args:
        folder: Output folder of `python -m avsa_fast.train`.
        device: Device of the network. Default: the GPU if there is one, else the CPU.

    Returns:
        The run.

    Raises:
        UserError: If the folder is not one of a run, the training is not finished, or a file is damaged.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: not the folder of a run: no config.yaml")
    if not (folder / "weights.safetensors").is_file():
        raise UserError(f"{folder}: training is not finished: no weights.safetensors; train --resume continues it")
    config = load_config(folder / "config.yaml")
    model = Model(config.model)
    load_weights(model, folder / "weights.safetensors")
    return run_from_model(folder, config, model, device)


def run_from_model(folder: Path, config: Config, model: Model, device: torch.device | None = None) -> Run:
    """Creates a run from a network in memory.

    Args:
        folder: Folder of the run.
        config: Configuration of the run.
        model: The network; it is moved to the device and set to evaluation mode.
        device: Default: the GPU if there is one, else the CPU.

    Returns:
        The run.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Run(folder, config, model.to(device).eval(), device)
