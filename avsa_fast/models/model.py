"""The complete network and its two losses: AVC over clips, AVSA over clips and crops."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from avsa_fast import ops
from avsa_fast.bounds import check_ranges, shortened
from avsa_fast.errors import UserError

from .audio import AudioEncoder
from .group_norm import use_group_norm
from .masked_info_nce import masked_info_nce
from .video import VideoEncoder

MAX_PARAMETERS = 400_000_000  # 1.6 GB; the paper's network has 40 M


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network; the defaults are those of Wang et al. 2022.

    Attributes:
        audio_channels: Feature channels of the audio encoder; 7 for FOA log-mel and intensity.
        video_width: Channels of the video encoder's first stage; its embeddings have 8 times as many values.
        video_blocks: Residual blocks in each stage of the video encoder.
        video_pooling: Whether the video encoder's embedding is the mean or the maximum over time and picture.
        audio_width: Channels of the audio encoder's first layer; its embeddings have 8 times as many values.
        norm: Normalisation in the encoders: "batch" (BatchNorm), or "group" (GroupNorm), which does not depend on the
            other samples of the batch.
        projection: Values of a projection.
        transformer_depth: Layers of each transformer; 0 predicts each crop from itself alone, by a linear layer.
        transformer_heads: Attention heads of each transformer.
        transformer_ffn: Hidden values of the transformers' feed-forward networks.

    Raises:
        UserError: If a value is out of range, or the network too large.
    """

    audio_channels: int = 7
    video_width: int = 64
    video_blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    video_pooling: Literal["mean", "max"] = "mean"
    audio_width: int = 64
    norm: Literal["batch", "group"] = "batch"
    projection: int = 128
    transformer_depth: int = 2
    transformer_heads: int = 1
    transformer_ffn: int = 2048

    def __post_init__(self) -> None:
        check_ranges(
            self, "model.", audio_channels=(1, 64), video_width=(2, 1024), audio_width=(1, 1024), projection=(1, 8192),
            transformer_depth=(0, 32), transformer_heads=(1, 64), transformer_ffn=(1, 65536),
        )  # fmt: skip
        if len(self.video_blocks) != 4 or not all(1 <= blocks <= 64 for blocks in self.video_blocks):
            raise UserError(f"model.video_blocks {shortened(self.video_blocks)} must be four numbers within 1 and 64")
        if 8 * self.video_width % self.transformer_heads or 8 * self.audio_width % self.transformer_heads:
            raise UserError(f"model.transformer_heads {self.transformer_heads} must divide 8 times either width")
        if (millions := self._parameters / 1e6) > MAX_PARAMETERS / 1e6:
            raise UserError(
                f"model: a network of about {millions:.0f} M parameters; at most {MAX_PARAMETERS / 1e6:.0f} M are "
                "supported: lower the widths, video_blocks, transformer_depth or transformer_ffn"
            )

    @property
    def _parameters(self) -> int:
        """The largest part of the number of parameters."""
        stages = enumerate(self.video_blocks)
        count = 54 * self.video_width**2 * sum(4**stage * blocks for stage, blocks in stages)
        count += 9 * self.audio_width**2 * (2 + 6 + 24 + 96 + 32)
        for width in (8 * self.video_width, 8 * self.audio_width):
            count += self.transformer_depth * (4 * width**2 + 2 * width * self.transformer_ffn)
            count += 2 * width * self.projection
        return count


class Embeddings(NamedTuple):
    """Encoder outputs and their projections, for B samples with K crops each.

    Attributes:
        video: Embeddings of the crops [B, K, E].
        audio: Embeddings of the sound views [B, K, E].
        video_projection: Projections of the crops [B, K, P].
        audio_projection: Projections of the sound views [B, K, P].
    """

    video: Tensor
    audio: Tensor
    video_projection: Tensor
    audio_projection: Tensor


class Model(nn.Module):
    """Encoders, heads, and transformers that predict each modality's projections from the other's embeddings.

    From Wang et al. 2022, section III, and Morgado et al. 2020. The K crops of a sample are the tokens of a transformer
    without positional encoding: a crop's direction is only encoded in the rotation of its sound.

    Attributes:
        frozen_statistics: Whether BatchNorm keeps its statistics in training, too.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Builds the network.

        Args:
            config: Sizes of the network.
        """
        super().__init__()
        self.frozen_statistics = False
        self.video_encoder = VideoEncoder(config.video_width, config.video_blocks, config.video_pooling)
        self.audio_encoder = AudioEncoder(config.audio_channels, config.audio_width)
        if config.norm == "group":
            use_group_norm(self.video_encoder)
            use_group_norm(self.audio_encoder)
            # Log-mel and intensity have very different ranges, so each input channel is a group.
            self.audio_encoder.layers[0] = nn.GroupNorm(config.audio_channels, config.audio_channels)
        self.video_head = nn.Linear(self.video_encoder.embedding, config.projection)
        self.audio_head = nn.Linear(self.audio_encoder.embedding, config.projection)
        self.video_to_audio = _transformer(self.video_encoder.embedding, config)
        self.audio_to_video = _transformer(self.audio_encoder.embedding, config)
        self.predict_audio = nn.Linear(self.video_encoder.embedding, config.projection)
        self.predict_video = nn.Linear(self.audio_encoder.embedding, config.projection)

    def train(self, mode: bool = True) -> Self:
        """Sets training or evaluation mode; frozen BatchNorm stays in the latter.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        if self.frozen_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, crops: Tensor, features: Tensor) -> Embeddings:
        """Embeds and projects the views of a batch.

        Args:
            crops: float32 [B, K, 3, F, h, w], normalised.
            features: float32 [B, K, channels, n_mels, n_frames].

        Returns:
            Embeddings and projections of both modalities.
        """
        leading = crops.shape[:2]
        video = self.video_encoder(crops.flatten(0, 1))
        audio = self.audio_encoder(features.flatten(0, 1))
        outputs = (video, audio, self.video_head(video), self.audio_head(audio))
        return Embeddings(*(x.unflatten(0, leading) for x in outputs))

    def predictions(self, embeddings: Embeddings) -> tuple[Tensor, Tensor]:
        """Predicts each modality's projections from the other modality.

        Args:
            embeddings: Output of the model.

        Returns:
            Predicted video and audio projections, each [B, K, P].
        """
        video = self.predict_video(self.audio_to_video(embeddings.audio))
        audio = self.predict_audio(self.video_to_audio(embeddings.video))
        return video, audio

    def avc_loss(
        self, embeddings: Embeddings, temperature: float | Tensor, group: Any = None,
        recordings: Tensor | None = None, precision: str = "fp32",
    ) -> Tensor:  # fmt: skip
        """Audio-visual correspondence: symmetric InfoNCE between the clips' video and audio projections.

        Args:
            embeddings: Embeddings with one crop per clip (K = 1).
            temperature: Temperature of the logits: a number or a scalar tensor.
            group: torch.distributed process group over whose ranks the clips are distributed, or None.
            recordings: int64 [B], a number for each clip's recording, of which other clips are then no negatives.
            precision: Of the products, as in `ops.info_nce`; without effect if `recordings` are given.

        Returns:
            The loss [], float32 or wider.
        """
        rows = _rows(embeddings.video_projection), _rows(embeddings.audio_projection)
        if recordings is not None:
            return masked_info_nce(*rows, recordings, temperature=temperature, symmetric=True, group=group)
        return ops.info_nce(*rows, temperature=temperature, symmetric=True, precision=precision, group=group)

    def avsa_loss(
        self, embeddings: Embeddings, predictions: tuple[Tensor, Tensor], temperature: float | Tensor,
        negatives: str = "all", group: Any = None, recordings: Tensor | None = None, precision: str = "fp32",
    ) -> Tensor:  # fmt: skip
        """Audio-visual spatial alignment: InfoNCE of predicted and actual projections over clips and crops.

        Args:
            embeddings: Output of the model.
            predictions: Output of `predictions` for these embeddings.
            temperature: Temperature of the logits: a number or a scalar tensor.
            negatives: "all" or "joint", as in `ops.info_nce`.
            group: As in `avc_loss`.
            recordings: As in `avc_loss`.
            precision: As in `avc_loss`.

        Returns:
            The loss [], the mean over the two modalities; float32 or wider.
        """
        video, audio = predictions
        options: dict[str, Any] = {"crops": video.shape[1], "negatives": negatives, "group": group}
        losses = []
        for predicted, projection in ((video, embeddings.video_projection), (audio, embeddings.audio_projection)):
            rows = _rows(predicted), _rows(projection)
            if recordings is None:
                losses.append(ops.info_nce(*rows, temperature=temperature, precision=precision, **options))
            else:
                losses.append(masked_info_nce(*rows, recordings, temperature=temperature, **options))
        return (losses[0] + losses[1]) / 2


def _rows(projections: Tensor) -> Tensor:
    """Flattens [B, K, P] to [B * K, P] and converts to float32 if autocast left a narrower dtype."""
    return projections.flatten(0, 1).to(torch.promote_types(projections.dtype, torch.float32))


def _transformer(width: int, config: ModelConfig) -> nn.Module:
    """Builds a transformer encoder of a given embedding width."""
    if config.transformer_depth == 0:
        return nn.Identity()
    layer = nn.TransformerEncoderLayer(
        width, config.transformer_heads, config.transformer_ffn, dropout=0.1, batch_first=True
    )
    return nn.TransformerEncoder(layer, config.transformer_depth, enable_nested_tensor=False)
