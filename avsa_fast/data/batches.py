"""Batches of samples, assembled in the worker process, so that few and large tensors are transferred.

Small fields are NumPy arrays, which are sent through the loader's pipe; each tensor is fetched from shared memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .frame_conversion import Planes
from .samples import Sample, Unreadable


class Frames(NamedTuple):
    """Frames of the samples in a batch that share size, projection and colour encoding.

    Attributes:
        rows: int64 [b], positions of the samples in the batch.
        pixels: uint8, RGB [b, F, H, W, 3] or YUV planes [b, F, 3/2 H, W] as in data.frame_conversion.Planes.
        projection: Projection of the frames.
        matrix: Colour matrix of YUV planes; None for RGB.
        full_range: Whether YUV values use the full range; True for RGB.
    """

    rows: np.ndarray
    pixels: Tensor
    projection: str
    matrix: str | None
    full_range: bool


class Batch(NamedTuple):
    """B samples with K views each.

    Attributes:
        names: Names of the clips, B.
        frames: Frames, grouped by format.
        sound: float32 [B, 4, T], channels W, Y, Z, X.
        directions: float32 [B, K, 2], azimuth and elevation, radians.
        fov: float32 [B, K], horizontal fields of view, radians.
        flip: bool [B, K], whether a view is mirrored.
        jitter: float32 [B, K, 4], brightness, contrast, saturation and hue; None without augmentation.
        failures: Clips that were tried but could not be read: name to reason.
        aspect: float32 [B, K], ratios of width to height of what the crops show; None: 1.
        masks: float32 [B, K, 4], begin and end of the masked mel bands and of the masked time, as shares; None: none.
    """

    names: list[str]
    frames: list[Frames]
    sound: Tensor
    directions: np.ndarray
    fov: np.ndarray
    flip: np.ndarray
    jitter: np.ndarray | None
    failures: dict[str, str]
    aspect: np.ndarray | None = None
    masks: np.ndarray | None = None


def collate(samples: Sequence[Sample | Unreadable]) -> Batch | Unreadable:
    """Combines samples into a batch, with their failures.

    Args:
        samples: Samples with the same number of views.

    Returns:
        The batch; Unreadable if one of the samples is.
    """
    failures = {name: reason for sample in samples for name, reason in sample.failures.items()}
    read = [sample for sample in samples if isinstance(sample, Sample)]
    if len(read) < len(samples):
        return Unreadable(failures)
    return batch_of(read)._replace(failures=failures)


def batch_of(samples: Sequence[Sample]) -> Batch:
    """Combines samples into a batch, without their failures.

    Args:
        samples: Samples with the same number of views.
    """
    return Batch(
        names=[sample.name for sample in samples],
        frames=_frames(samples),
        sound=torch.stack([sample.sound for sample in samples]),
        directions=np.stack([sample.directions for sample in samples]),
        fov=np.stack([sample.fov for sample in samples]),
        flip=np.stack([sample.flip for sample in samples]),
        jitter=_stacked([sample.jitter for sample in samples]),
        failures={},
        aspect=_stacked([sample.aspect for sample in samples]),
        masks=_stacked([sample.masks for sample in samples]),
    )


def _stacked(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The samples' arrays as one; None if the first sample has none."""
    return None if arrays[0] is None else np.stack([array for array in arrays if array is not None])


def _frames(samples: Sequence[Sample]) -> list[Frames]:
    """Groups the samples' frames by size, projection and colour encoding."""
    groups: dict[tuple[torch.Size, str, str | None, bool], list[int]] = {}
    images = [sample.frames if isinstance(sample.frames, Planes) else (sample.frames, None, True) for sample in samples]
    for row, (pixels, matrix, full_range) in enumerate(images):
        groups.setdefault((pixels.shape, samples[row].projection, matrix, full_range), []).append(row)
    return [
        Frames(np.array(rows), torch.stack([images[row][0] for row in rows]), projection, matrix, full_range)
        for (_, projection, matrix, full_range), rows in groups.items()
    ]
