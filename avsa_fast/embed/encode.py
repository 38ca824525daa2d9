"""Windows of a file, batch by batch, to embeddings."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from math import radians

import numpy as np
import torch
from torch import Tensor

from avsa_fast.data.batches import Batch, batch_of
from avsa_fast.data.samples import Sample
from avsa_fast.data.views import make_crops, make_features
from avsa_fast.evaluate.run import Run

from .media import Media, Modality, flat_crops, pictures, scenes

BATCH = 4  # windows in memory at a time
FRONT = torch.zeros(1, 2)


def dense_centres(seconds: float, hop: float, window: float) -> list[float]:
    """The middles of windows every `hop` seconds, the first from the start, as many as fit (one, where none does)."""
    count = max(1, 1 + int((seconds - window) / hop + 1e-6))
    return [window / 2 + i * hop for i in range(count)]


def spread_centres(seconds: float, count: int, window: float) -> list[float]:
    """The middles of `count` windows spread evenly over a file, the first at its start, the last at its end.

    A file no longer than a window has one.
    """
    if count == 1 or seconds <= window:
        return [seconds / 2]
    return [window / 2 + i * (seconds - window) / (count - 1) for i in range(count)]


def window_seconds(run: Run, modality: Modality) -> float:
    """How much of a file an embedding is of."""
    samples = run.config.samples
    return samples.frames / samples.fps if modality == "video" else samples.seconds


def embed_windows(
    run: Run, media: Media, modality: Modality, centres: Sequence[float], directions: Tensor = FRONT
) -> Iterator[Tensor]:
    """Embeddings [n, K, E] of a few windows at a time, in K directions [K, 2] (one where the media has no others).

    Memory does not grow with the file or the number of windows. Raises UserError naming a file that is damaged.
    """
    for views in window_views(run, media, modality, centres, directions):
        yield run.encode(modality, views).cpu()


def window_views(
    run: Run, media: Media, modality: Modality, centres: Sequence[float], directions: Tensor = FRONT
) -> Iterator[Tensor]:
    """What the encoder takes of a few windows at a time: crops [n, K, 3, F, h, w] or features [n, K, C, mels, T]."""
    looks = directions if media.turns(modality) else FRONT
    config, views = run.config.samples, run.config.views
    if modality == "audio":
        sounds = scenes(media, centres, config.seconds)
        while batch := list(islice(sounds, 4 * BATCH)):
            yield make_features(_batch([(torch.empty(0), sound) for sound in batch], looks, run), views, run.device)
        return
    windows = _pictures(run, media, centres)
    while batch := list(islice(windows, BATCH)):
        if media.flat:
            yield torch.stack([flat_crops(frames, views.crop_size) for frames in batch])
        else:
            yield make_crops(_batch([(frames, torch.empty(0)) for frames in batch], looks, run), views, run.device)


def _pictures(run: Run, media: Media, centres: Sequence[float]) -> Iterator[Tensor]:
    """Frames of windows, in one pass where they do not overlap, else each sought for."""
    config = run.config.samples
    height = min(config.max_height, 2 * run.config.views.crop_size) if media.flat else config.max_height
    apart = min((b - a for a, b in pairwise(centres)), default=1.0)
    if apart >= config.frames / config.fps:
        return pictures(media, centres, config.frames, config.fps, height)
    return chain.from_iterable(pictures(media, [c], config.frames, config.fps, height) for c in centres)


def _batch(windows: Sequence[tuple[Tensor, Tensor]], directions: Tensor, run: Run) -> Batch:
    """Frames and sound of some windows, to be looked at in the same directions [K, 2]."""
    K = len(directions)
    fov = np.full(K, radians(run.config.samples.held_out_fov), np.float32)
    return batch_of(
        [
            Sample("", "erp", frames, sound, directions.numpy(), fov, np.zeros(K, bool), None, {})
            for frames, sound in windows
        ]
    )
