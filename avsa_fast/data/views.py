"""From samples to what the encoders take: crops by gnomonic projection, and the sound as it is from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from avsa_fast import ops

from .samples import SAMPLE_RATE, Sample

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


def make_views(samples: Sequence[Sample], config: ViewConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Crops [B, K, 3, F, h, w] and features [B, K, channels, n_mels, n_frames] of B samples, float32 on `device`."""
    return make_crops(samples, config, device), make_features(samples, config, device)


def make_crops(samples: Sequence[Sample], config: ViewConfig, device: torch.device) -> Tensor:
    """What is seen in the directions of B samples: [B, K, 3, F, h, w] float32 on `device`."""
    directions, fov, flip = (_batch(samples, name, device) for name in ("directions", "fov", "flip"))
    jitter = None if samples[0].jitter is None else _batch(samples, "jitter", device)
    size = (config.crop_size, config.crop_size)
    crops = directions.new_empty(*directions.shape[:2], 3, len(samples[0].frames), *size)
    for rows in _same_size(samples):
        frames = torch.stack([samples[row].frames for row in rows]).to(device, non_blocking=True)
        crops[rows] = ops.gnomonic(
            frames, directions[rows], fov[rows], size, flip=flip[rows],
            jitter=None if jitter is None else jitter[rows], mean=MEAN, std=STD,
        )  # fmt: skip
    return crops


def make_features(samples: Sequence[Sample], config: ViewConfig, device: torch.device) -> Tensor:
    """What is heard in the directions of B samples: [B, K, channels, n_mels, n_frames] float32 on `device`."""
    return ops.spatial_features(
        _batch(samples, "sound", device), _batch(samples, "directions", device), flip=_batch(samples, "flip", device),
        n_mels=config.n_mels, n_fft=config.n_fft, hop_length=config.hop_length, sample_rate=SAMPLE_RATE,
        **_FEATURES[config.audio],
    )  # fmt: skip


def _batch(samples: Sequence[Sample], field: str, device: torch.device) -> Tensor:
    return torch.stack([getattr(sample, field) for sample in samples]).to(device, non_blocking=True)


def _same_size(samples: Sequence[Sample]) -> list[list[int]]:
    """Numbers of the samples whose frames can share a tensor."""
    groups: dict[torch.Size, list[int]] = {}
    for number, sample in enumerate(samples):
        groups.setdefault(sample.frames.shape, []).append(number)
    return list(groups.values())
