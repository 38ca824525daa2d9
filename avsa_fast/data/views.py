"""Encoder inputs from batches of samples: gnomonic crops, and audio features in the direction of each crop."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops
from avsa_fast.bounds import check_ranges
from avsa_fast.choices import AudioView as AudioView
from avsa_fast.errors import UserError

from .batches import Batch, Frames
from .masks import masked
from .stretch import stretched
from .tracks import SAMPLE_RATE

# Mean and standard deviation of Kinetics-400, as expected by torchvision's video models.
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
    """Parameters of crops and features; the defaults are the paper's.

    Attributes:
        audio: Input of the audio encoder: log-mel of the rotated sound with its intensity (foa_iv) or without (foa),
            stereo without or with level and phase differences (stereo_icf), a beam or mono.
        crop_size: Height and width of crops, in pixels.
        n_mels: Mel bands.
        n_fft: Window length of the STFT, in samples.
        hop_length: Hop of the STFT, in samples.

    Raises:
        UserError: If a value is out of range.
    """

    audio: AudioView = "foa_iv"
    crop_size: int = 112
    n_mels: int = 128
    n_fft: int = 512
    hop_length: int = 240

    def __post_init__(self) -> None:
        check_ranges(self, "views.", crop_size=(8, 1024), n_mels=(8, 512), n_fft=(16, 8192), hop_length=(16, 24000))
        if self.n_fft % 2:
            raise UserError(f"views.n_fft {self.n_fft} must be even")


def make_views(batch: Batch, config: ViewConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Computes the crops and features of a batch.

    Args:
        batch: B samples with K views each.
        config: Parameters of crops and features.
        device: Device to compute on.

    Returns:
        Crops [B, K, 3, F, h, w] and features [B, K, channels, n_mels, n_frames], float32 on `device`.
    """
    return make_crops(batch, config, device), make_features(batch, config, device)


def make_crops(batch: Batch, config: ViewConfig, device: torch.device) -> Tensor:
    """Computes crops in the samples' directions.

    Args:
        batch: B samples with K views each.
        config: Size of the crops.
        device: Device to compute on.

    Returns:
        float32 [B, K, 3, F, h, w] on `device`, normalised by MEAN and STD.
    """
    parts = [_crops_of(frames, batch, config, device) for frames in batch.frames]
    crops = parts[0]
    if len(parts) > 1:
        order = np.concatenate([frames.rows for frames in batch.frames]).argsort()
        crops = torch.cat(parts)[torch.from_numpy(order).to(device)]
    return crops if batch.aspect is None else stretched(crops, torch.from_numpy(batch.aspect).to(device))


def make_features(batch: Batch, config: ViewConfig, device: torch.device) -> Tensor:
    """Computes audio features in the samples' directions.

    Args:
        batch: B samples with K views each.
        config: Parameters of the features.
        device: Device to compute on.

    Returns:
        float32 [B, K, channels, n_mels, n_frames] on `device`.
    """
    directions, flip = (torch.from_numpy(x).to(device) for x in (batch.directions, batch.flip))
    features = ops.spatial_features(
        batch.sound.to(device, non_blocking=True), directions, flip=flip, n_mels=config.n_mels, n_fft=config.n_fft,
        hop_length=config.hop_length, sample_rate=SAMPLE_RATE, **_FEATURES[config.audio],
    )  # fmt: skip
    return features if batch.masks is None else masked(features, torch.from_numpy(batch.masks).to(device))


def _crops_of(frames: Frames, batch: Batch, config: ViewConfig, device: torch.device) -> Tensor:
    """Crops [b, K, 3, F, h, w] of the samples that share a frame format."""

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
    """Splits vertically stacked YUV 4:2:0 planes.

    Args:
        planes: [..., 3/2 H, W], with H a multiple of 4.

    Returns:
        Y [..., H, W], and U and V [..., H/2, W/2].
    """
    H, W = planes.shape[-2] // 3 * 2, planes.shape[-1]
    y, u, v = planes.split([H, H // 4, H // 4], dim=-2)
    half = (*planes.shape[:-2], H // 2, W // 2)
    return y, u.reshape(half), v.reshape(half)
