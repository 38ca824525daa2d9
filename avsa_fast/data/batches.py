"""Batches of samples, assembled in the worker process, so that few and large tensors are transferred.

Small fields are NumPy arrays, which are sent through the loader's pipe; each tensor is fetched from shared memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .samples import Sample, Unreadable
from .video import Planes


class Frames(NamedTuple):
    """Frames of the samples in a batch that share size, projection and colour encoding."""

    rows: np.ndarray  # [b] int64, positions of the samples in the batch
    pixels: Tensor  # uint8, RGB [b, F, H, W, 3] or YUV planes [b, F, 3/2 H, W] as in data.video.Planes
    projection: str
    matrix: str | None  # of YUV planes; None for RGB
    full_range: bool


class Batch(NamedTuple):
    """B samples with K views each; the fields are those of Sample."""

    names: list[str]
    frames: list[Frames]
    sound: Tensor  # [B, 4, T]
    directions: np.ndarray  # [B, K, 2]
    fov: np.ndarray  # [B, K]
    flip: np.ndarray  # [B, K]
    jitter: np.ndarray | None  # [B, K, 4]
    failures: dict[str, str]  # clips that were tried but could not be read: name to reason


def collate(samples: Sequence[Sample | Unreadable]) -> Batch | Unreadable:
    """Combines samples into a batch; returns Unreadable if one of them is unreadable."""
    failures = {name: reason for sample in samples for name, reason in sample.failures.items()}
    read = [sample for sample in samples if isinstance(sample, Sample)]
    if len(read) < len(samples):
        return Unreadable(failures)
    return batch_of(read)._replace(failures=failures)


def batch_of(samples: Sequence[Sample]) -> Batch:
    """Combines samples into a batch, without their failures."""
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
    """Groups the samples' frames by size, projection and colour encoding."""
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
