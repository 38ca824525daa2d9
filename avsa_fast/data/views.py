"""From samples to what the encoders take: crops by gnomonic projection, and the sound as it is from there."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops

from .batches import Batch, Frames
from .samples import SAMPLE_RATE

AudioView = Literal["foa_iv", "foa", "stereo", "stereo_icf", "beamform", "mono"]
# Mean and standard deviation of Kinetics-400, as torchvision's video networks expect.
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)

_FEATURES: dict[AudioView, dict[str, Any]] = {
    "foa_iv": {"view": "rotate", "spatial": "iv"},
    "foa": {"view": "rotate", "spatial": None},
    "stereo": {"view": "stereo", "spatial": None},
    "stereo_icf": {"view": "stereo", "spatial": "icf"},
    "beamform": {"view": "beamform", "spatial": None},
    "mono": {"view": "mono", "spatial": None},
}
AUDIO_CHANNELS: dict[AudioView, int] = dict(zip(get_args(AudioView), (7, 4, 2, 5, 1, 1), strict=True))


@dataclass(frozen=True)
class ViewConfig:
    """How crops and features are made; the defaults are the paper's."""

    audio: AudioView = "foa_iv"
    crop_size: int = 112  # pixels
    n_mels: int = 128
    n_fft: int = 512
    hop_length: int = 240


def make_views(batch: Batch, config: ViewConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Crops [B, K, 3, F, h, w] and features [B, K, channels, n_mels, n_frames] of B samples, float32 on `device`."""
    return make_crops(batch, config, device), make_features(batch, config, device)


def make_crops(batch: Batch, config: ViewConfig, device: torch.device) -> Tensor:
    """What is seen in the samples' directions: [B, K, 3, F, h, w] float32 on `device`."""
    crops = [_crops_of(frames, batch, config, device) for frames in batch.frames]
    if len(crops) == 1:
        return crops[0]
    order = np.concatenate([frames.rows for frames in batch.frames]).argsort()
    return torch.cat(crops)[torch.from_numpy(order).to(device)]


def make_features(batch: Batch, config: ViewConfig, device: torch.device) -> Tensor:
    """What is heard there: [B, K, channels, n_mels, n_frames] float32 on `device`."""
    directions, flip = (torch.from_numpy(x).to(device) for x in (batch.directions, batch.flip))
    return ops.spatial_features(
        batch.sound.to(device, non_blocking=True), directions, flip=flip, n_mels=config.n_mels, n_fft=config.n_fft,
        hop_length=config.hop_length, sample_rate=SAMPLE_RATE, **_FEATURES[config.audio],
    )  # fmt: skip


def _crops_of(frames: Frames, batch: Batch, config: ViewConfig, device: torch.device) -> Tensor:
    def rows(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values[frames.rows]).to(device)

    pixels = frames.pixels.to(device, non_blocking=True)
    return ops.gnomonic(
        i420(pixels) if frames.matrix else pixels, rows(batch.directions), rows(batch.fov),
        (config.crop_size, config.crop_size), flip=rows(batch.flip),
        jitter=None if batch.jitter is None else rows(batch.jitter), mean=MEAN, std=STD,
        source=frames.projection, matrix=frames.matrix or "bt709", full_range=frames.full_range,
    )  # fmt: skip


def i420(planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Planes one below the other, [..., 3/2 H, W], as Y [..., H, W], U and V [..., H/2, W/2]; H a multiple of 4."""
    H, W = planes.shape[-2] // 3 * 2, planes.shape[-1]
    y, u, v = planes.split([H, H // 4, H // 4], dim=-2)
    half = (*planes.shape[:-2], H // 2, W // 2)
    return y, u.reshape(half), v.reshape(half)
