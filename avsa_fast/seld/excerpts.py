"""Batches of excerpts for training: sound and events turned alike, and SpecAugment."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops

from .config import SeldConfig
from .recordings import Recording, targets


class Excerpts(NamedTuple):
    """A batch of N excerpts.

    Attributes:
        sound: float32 [N, 4, T], W, Y, Z, X at 24 kHz.
        events: float32 [N, frames, classes, TRACKS, 4], as `adpit_loss` takes them.
        numbers: int64 [N, frames, classes], likewise.
    """

    sound: Tensor
    events: Tensor
    numbers: Tensor


def draw_excerpts(recordings: Sequence[Recording], config: SeldConfig, step: int) -> Excerpts:
    """Draws the excerpts of a step, which depend only on the seed and the step.

    Each is turned by a random azimuth, and mirrored left-right with probability ½.

    Args:
        recordings: Recordings, drawn with probabilities that are proportional to their durations.
        config: Configuration of the training.
        step: Number of the step.

    Raises:
        UserError: A file is damaged.
    """
    rng = np.random.default_rng([config.seed, step])
    durations = np.array([recording.frames for recording in recordings], np.float64)
    chosen = rng.choice(len(recordings), config.batch, p=durations / durations.sum())
    sounds, events, counts = [], [], []
    for recording in (recordings[number] for number in chosen):
        first = int(rng.integers(max(recording.frames - config.frames, 0) + 1))
        direction = torch.tensor([rng.uniform(-np.pi, np.pi), 0.0], dtype=torch.float32)
        flip = torch.tensor(bool(rng.integers(2)))
        sound = recording.sound(first, config.frames)
        sounds.append(ops.rotate(sound, direction[None], flip=flip[None])[0])
        wanted, count = targets(recording, first, config.frames, config.classes, direction, flip)
        events.append(wanted)
        counts.append(count)
    return Excerpts(torch.stack(sounds), torch.stack(events), torch.stack(counts))


def masked(features: Tensor, share: float) -> Tensor:
    """SpecAugment: replaces a band of mel bands, and a range of frames, of each excerpt by the channels' means.

    After Park et al. 2019, "SpecAugment". The widths and places are drawn by torch's generator.

    Args:
        features: float32 [N, channels, n_mels, n_frames].
        share: Greatest share of the bands, and of the frames, that is replaced.

    Returns:
        float32 of the same shape.
    """
    hidden = torch.zeros_like(features, dtype=torch.bool)
    for dimension in (2, 3):
        length = features.shape[dimension]
        width, place = torch.rand(2, len(features), 1) * torch.tensor([share * length, 1.0])[:, None, None]
        begin = place * (length - width)
        position = torch.arange(length)
        band = (position >= begin) & (position < begin + width)  # [N, length]
        hidden |= band.to(features.device).reshape(len(features), 1, *(length if d == dimension else 1 for d in (2, 3)))
    return torch.where(hidden, features.mean(dim=(2, 3), keepdim=True), features)
