"""The whole network and its two losses: AVC over clips, AVSA over clips and crops."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from avsa_fast import ops

from .audio import AudioEncoder
from .video import VideoEncoder


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network; the defaults are the paper's."""

    audio_channels: int = 7
    video_width: int = 64  # embeddings have 8 times as many values, of video as of sound
    video_blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    audio_width: int = 64
    projection: int = 128
    transformer_depth: int = 2
    transformer_heads: int = 1
    transformer_ffn: int = 2048


class Embeddings(NamedTuple):
    """Encoder outputs [B, K, E] and their projections [B, K, P] of B samples with K crops each."""

    video: Tensor
    audio: Tensor
    video_projection: Tensor
    audio_projection: Tensor


class Model(nn.Module):
    """Encoders, heads, and transformers that predict each modality's projections from the other's embeddings.

    Wang et al. 2022, section III; Morgado et al. 2020. The K crops of a sample are the tokens of a transformer, without
    positional encoding, since a crop's place is in its sound's rotation and nowhere else.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.video_encoder = VideoEncoder(config.video_width, config.video_blocks)
        self.audio_encoder = AudioEncoder(config.audio_channels, config.audio_width)
        self.video_head = nn.Linear(self.video_encoder.embedding, config.projection)
        self.audio_head = nn.Linear(self.audio_encoder.embedding, config.projection)
        self.video_to_audio = _transformer(self.video_encoder.embedding, config)
        self.audio_to_video = _transformer(self.audio_encoder.embedding, config)
        self.predict_audio = nn.Linear(self.video_encoder.embedding, config.projection)
        self.predict_video = nn.Linear(self.audio_encoder.embedding, config.projection)

    def forward(self, crops: Tensor, features: Tensor) -> Embeddings:
        """crops: [B, K, 3, F, h, w]. features: [B, K, channels, n_mels, n_frames]."""
        leading = crops.shape[:2]
        video = self.video_encoder(crops.flatten(0, 1))
        audio = self.audio_encoder(features.flatten(0, 1))
        outputs = (video, audio, self.video_head(video), self.audio_head(audio))
        return Embeddings(*(x.unflatten(0, leading) for x in outputs))

    def predictions(self, embeddings: Embeddings) -> tuple[Tensor, Tensor]:
        """Video and audio projections, each predicted from the other modality: [B, K, P] twice."""
        video = self.predict_video(self.audio_to_video(embeddings.audio))
        audio = self.predict_audio(self.video_to_audio(embeddings.video))
        return video, audio

    def avc_loss(self, embeddings: Embeddings, temperature: float | Tensor, group: Any = None) -> Tensor:
        """Audio-visual correspondence: which sound belongs to which clip, both ways. Embeddings of one crop a clip.

        group: None, or a torch.distributed process group, over whose ranks the clips are spread.
        """
        return ops.info_nce(
            _rows(embeddings.video_projection), _rows(embeddings.audio_projection),
            temperature=temperature, symmetric=True, group=group,
        )  # fmt: skip

    def avsa_loss(
        self, embeddings: Embeddings, predictions: tuple[Tensor, Tensor], temperature: float | Tensor,
        negatives: str = "all", group: Any = None,
    ) -> Tensor:  # fmt: skip
        """Audio-visual spatial alignment: which sound view belongs to which clip and crop.

        predictions: of these embeddings. negatives: as in ops.info_nce. group: as in avc_loss.
        """
        video, audio = predictions
        losses = [
            ops.info_nce(
                _rows(predicted), _rows(projection), temperature=temperature, crops=video.shape[1],
                negatives=negatives, group=group,
            )
            for predicted, projection in ((video, embeddings.video_projection), (audio, embeddings.audio_projection))
        ]  # fmt: skip
        return (losses[0] + losses[1]) / 2


def _rows(projections: Tensor) -> Tensor:
    """[B, K, P] -> [B * K, P], of float32 at least, whatever autocast made of it."""
    return projections.flatten(0, 1).to(torch.promote_types(projections.dtype, torch.float32))


def _transformer(width: int, config: ModelConfig) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        width, config.transformer_heads, config.transformer_ffn, dropout=0.1, batch_first=True
    )
    return nn.TransformerEncoder(layer, config.transformer_depth, enable_nested_tensor=False)
