"""The detector: an audio encoder's last feature map over time, a network over time, and a Multi-ACCDDOA output."""

from math import ceil
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from avsa_fast import ops
from avsa_fast.data.sound_events import FRAME_SECONDS
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.data.views import AUDIO_CHANNELS, ViewConfig
from avsa_fast.errors import UserError
from avsa_fast.models import AudioEncoder
from avsa_fast.models.weights import load_weights

from .config import WEIGHTS, DetectorConfig, load_config

TRACKS = 3  # events of a class at once
STRIDE = 8  # feature frames, and mel bands, from one value of the encoder's feature map to the next
METRES = 2.0  # per unit of a distance in the output, so that errors of direction and distance are of like size


class Detector(nn.Module):
    """Finds sound events in features of excerpts.

    The encoder's feature map has a step of 8 feature frames (80 ms), whose centres are those of every eighth feature
    frame. It is interpolated linearly to the middles of the frames of 100 ms, and constant beyond its ends.

    Multi-ACCDDOA: Shimada et al. 2022, "Multi-ACCDOA", with the distance of Krause et al. 2024, "Sound Event Detection
    and Localization with Distance Estimation".
    """

    def __init__(self, config: DetectorConfig) -> None:
        """Builds the network with random weights.

        Args:
            config: Configuration of the detector.
        """
        super().__init__()
        seld, self.views = config.seld, config.views
        self.classes, self.frozen = seld.classes, seld.mode == "frozen"
        self.encoder = AudioEncoder(AUDIO_CHANNELS[config.views.audio], config.audio_width)
        rows = ceil(config.views.n_mels / STRIDE)
        self.project = nn.Linear(rows * self.encoder.embedding, seld.width)
        if seld.neck == "gru":
            self.neck: nn.Module = nn.GRU(
                seld.width, seld.width // 2, seld.depth, batch_first=True, bidirectional=True
            )  # fmt: skip
        else:
            layer = nn.TransformerEncoderLayer(seld.width, 8, 2 * seld.width, batch_first=True, norm_first=True)
            self.neck = nn.TransformerEncoder(layer, seld.depth, enable_nested_tensor=False)
        self.head = nn.Linear(seld.width, TRACKS * seld.classes * 4)
        if self.frozen:
            self.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> "Detector":
        """Sets the mode of the network; a frozen encoder keeps its statistics."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def features(self, sound: Tensor) -> Tensor:
        """Computes log-mel and intensity.

        Args:
            sound: float32 [N, 4, T], W, Y, Z, X at 24 kHz.

        Returns:
            float32 [N, 7, n_mels, n_frames].
        """
        return ops.spatial_features(
            sound, view="rotate", spatial="iv", n_mels=self.views.n_mels, n_fft=self.views.n_fft,
            hop_length=self.views.hop_length, sample_rate=SAMPLE_RATE,
        )  # fmt: skip

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Finds events.

        Args:
            features: float32 [N, 7, n_mels, n_frames].
            frames: Frames of 100 ms in the excerpts.

        Returns:
            float32 [N, frames, TRACKS, classes, 4]: a vector towards the event, whose length is its activity, and its
            distance in units of METRES, times the activity.
        """
        grid = self.encoder.layers(features).flatten(1, 2)  # [N, E * rows, columns]
        times = _at_frames(grid, frames, self.views).mT  # [N, frames, E * rows]
        hidden = self.neck(self.project(times).relu())
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        values = self.head(hidden).unflatten(-1, (TRACKS, self.classes, 4))
        return torch.cat([values[..., :3].tanh(), softplus(values[..., 3:])], dim=-1)


def load_detector(folder: Path, device: torch.device | None = None) -> tuple[Detector, DetectorConfig]:
    """Loads a trained detector in evaluation mode.

    Args:
        folder: Folder that `seld train` wrote.
        device: Default: the GPU if there is one, else the CPU.

    Raises:
        UserError: The folder is not one of a detector, its training is not finished, or a file is damaged.
    """
    config = load_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder}: training is not finished: no {WEIGHTS}; seld train --resume continues it")
    detector = Detector(config)
    load_weights(detector, folder / WEIGHTS)
    return detector.to(device or default_device()).eval(), config


def default_device() -> torch.device:
    """Returns the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _at_frames(grid: Tensor, frames: int, views: ViewConfig) -> Tensor:
    """Interpolates [N, E, columns] to the middles of frames: [N, E, frames]."""
    middles = (torch.arange(frames, device=grid.device) + 0.5) * FRAME_SECONDS * SAMPLE_RATE  # samples
    columns = grid.shape[-1]
    position = ((middles - views.n_fft / 2) / (STRIDE * views.hop_length)).clamp(0, columns - 1)
    before = position.long().clamp(max=max(columns - 2, 0))
    after = (before + 1).clamp(max=columns - 1)
    return torch.lerp(grid[..., before], grid[..., after], (position - before).to(grid.dtype))
