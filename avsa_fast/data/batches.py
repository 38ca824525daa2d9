"""Batches: samples put together in the process that decoded them, so that few and large tensors are handed over.

Small fields are arrays, which go through the loader's pipe; each tensor has to be fetched from shared memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .samples import Sample, Unreadable
from .video import Planes


class Frames(NamedTuple):
    """The frames of those samples of a batch that are of one size, projection and colour."""

    rows: np.ndarray  # [b] int64, numbers of the samples
    pixels: Tensor  # [b, F, H, W, 3] uint8 RGB; of planes [b, F, 3/2 H, W] uint8, as in data.video.Planes
    projection: str
    matrix: str | None  # of planes
    full_range: bool


class Batch(NamedTuple):
    """B samples with K views each; fields as in Sample."""

    names: list[str]
    frames: list[Frames]
    sound: Tensor  # [B, 4, T]
    directions: np.ndarray  # [B, K, 2]
    fov: np.ndarray  # [B, K]
    flip: np.ndarray  # [B, K]
    jitter: np.ndarray | None  # [B, K, 4]
    failures: dict[str, str]  # clips that could not be read in these samples' place, with the reason


def collate(samples: Sequence[Sample | Unreadable]) -> Batch | Unreadable:
    """Samples as one batch; Unreadable where one of them is."""
    failures = {name: reason for sample in samples for name, reason in sample.failures.items()}
    read = [sample for sample in samples if isinstance(sample, Sample)]
    if len(read) < len(samples):
        return Unreadable(failures)
    return batch_of(read)._replace(failures=failures)


def batch_of(samples: Sequence[Sample]) -> Batch:
    """Samples, all read, as one batch."""
    return Batch(
        names=[sample.name for sample in samples],
        frames=_frames(samples),
        sound=torch.stack([sample.sound for sample in samples]),
        directions=np.stack([sample.directions for sample in samples]),
        fov=np.stack([sample.fov for sample in samples]),
        flip=np.stack([sample.flip for sample in samples]),
        jitter=None if samples[0].jitter is None else np.stack([s.jitter for s in samples if s.jitter is not None]),
        failures={},
    )


def _frames(samples: Sequence[Sample]) -> list[Frames]:
    alike: dict[tuple[torch.Size, str, str | None, bool], list[int]] = {}
    pictures = [
        sample.frames if isinstance(sample.frames, Planes) else (sample.frames, None, True) for sample in samples
    ]
    for row, (pixels, matrix, full_range) in enumerate(pictures):
        alike.setdefault((pixels.shape, samples[row].projection, matrix, full_range), []).append(row)
    return [
        Frames(np.array(rows), torch.stack([pictures[row][0] for row in rows]), projection, matrix, full_range)
        for (_, projection, matrix, full_range), rows in alike.items()
    ]
