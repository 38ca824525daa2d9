"""Embedding of time windows of a file, in batches."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from math import radians

import numpy as np
import torch
from torch import Tensor

from avsa_fast.data.batches import Batch, batch_of
from avsa_fast.data.projection import PROJECTIONS, Projection
from avsa_fast.data.reader import MediaReader, Modality
from avsa_fast.data.samples import Sample
from avsa_fast.data.views import make_crops, make_features
from avsa_fast.run import Run

from .media import flat_crops, read_scenes

BATCH = 4  # windows of video in memory at a time; sound: 4 times as many
FRONT = torch.zeros(1, 2)  # azimuth and elevation


def dense_centres(seconds: float, hop: float, window: float) -> list[float]:
    """Places windows at a constant interval from the start of a file, as many as fit but at least one.

    Args:
        seconds: Duration of the file.
        hop: Seconds from one window to the next.
        window: Duration of a window, in seconds.

    Returns:
        Centres of the windows, in seconds.
    """
    count = max(1, 1 + int((seconds - window) / hop + 1e-6))
    return [window / 2 + i * hop for i in range(count)]


def spread_centres(seconds: float, count: int, window: float) -> list[float]:
    """Spreads windows evenly over a file, from its start to its end.

    Args:
        seconds: Duration of the file.
        count: Number of windows; a file that is no longer than a window has only one.
        window: Duration of a window, in seconds.

    Returns:
        Centres of the windows, in seconds.
    """
    if count == 1 or seconds <= window:
        return [seconds / 2]
    return [window / 2 + i * (seconds - window) / (count - 1) for i in range(count)]


def window_seconds(run: Run, modality: Modality) -> float:
    """Returns the duration of the window that one embedding covers, in seconds.

    Args:
        run: Trained run.
        modality: Modality of the embedding.
    """
    samples = run.config.samples
    return samples.frames / samples.fps if modality == "video" else samples.seconds


def embed_windows(
    run: Run, media: MediaReader, modality: Modality, centres: Sequence[float], directions: Tensor = FRONT
) -> Iterator[Tensor]:
    """Embeds windows of a file in batches, in memory that does not depend on the file or the number of windows.

    Args:
        run: Trained run.
        media: Clip to embed.
        modality: Whether to embed picture or sound.
        centres: Centres of the windows, in seconds.
        directions: [K, 2], azimuth and elevation in radians; media without directions use only the front (K = 1).

    Yields:
        Embeddings of the next n windows, float32 [n, K, E] on the CPU.

    Raises:
        UserError: If the file is damaged.
    """
    for views in window_views(run, media, modality, centres, directions):
        yield run.encode(modality, views).cpu()


def window_views(
    run: Run, media: MediaReader, modality: Modality, centres: Sequence[float], directions: Tensor = FRONT
) -> Iterator[Tensor]:
    """Prepares encoder inputs of windows in batches.

    Args:
        run: Trained run.
        media: Clip to read.
        modality: Whether to read picture or sound.
        centres: Centres of the windows, in seconds.
        directions: [K, 2], azimuth and elevation in radians; media without directions use only the front (K = 1).

    Yields:
        float32, crops [n, K, 3, F, h, w] or features [n, K, channels, n_mels, n_frames] of the next n windows.

    Raises:
        UserError: If the file is damaged.
    """
    directions = directions if media.is_directional(modality) else FRONT
    config, views = run.config.samples, run.config.views
    if modality == "audio":
        sounds = read_scenes(media, centres, config.seconds)
        while batch := list(islice(sounds, 4 * BATCH)):
            yield make_features(
                _batch([(torch.empty(0), sound) for sound in batch], directions, run), views, run.device
            )
        return
    windows = frame_windows(run, media, centres)
    while batch := list(islice(windows, BATCH)):
        if media.is_flat:
            yield torch.stack([flat_crops(frames, views.crop_size) for frames in batch])
        else:
            projection = media.description.projection or PROJECTIONS[0]
            yield make_crops(
                _batch([(frames, torch.empty(0)) for frames in batch], directions, run, projection), views, run.device
            )


def frame_windows(run: Run, media: MediaReader, centres: Sequence[float]) -> Iterator[Tensor]:
    """Reads the frames of windows, in one decoding pass if the windows do not overlap, else with one seek per window.

    Args:
        run: Trained run, which determines the number, rate and size of the frames.
        media: Clip with video.
        centres: Centres of the windows, in seconds, increasing.

    Returns:
        Iterator of uint8 [F, H, W, 3], RGB, for each centre.

    Raises:
        UserError: If the file is damaged.
    """
    config = run.config.samples
    height = min(config.max_height, 2 * run.config.views.crop_size) if media.is_flat else config.max_height
    interval = min((b - a for a, b in pairwise(centres)), default=1.0)
    if interval >= config.frames / config.fps:
        return media.windows(centres, config.frames, config.fps, height)
    return chain.from_iterable(media.windows([c], config.frames, config.fps, height) for c in centres)


def _batch(
    windows: Sequence[tuple[Tensor, Tensor]], directions: Tensor, run: Run, projection: Projection = PROJECTIONS[0]
) -> Batch:
    """Batch of windows (frames, sound), all viewed in the same directions [K, 2]."""
    K = len(directions)
    fov = np.full(K, radians(run.config.samples.held_out_fov), np.float32)
    return batch_of(
        [
            Sample("", projection, frames, sound, directions.numpy(), fov, np.zeros(K, bool), None, {})
            for frames, sound in windows
        ]
    )
