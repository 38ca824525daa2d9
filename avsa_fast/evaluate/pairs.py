"""Embeddings for the pretext tasks: 4 crops and their sound views at evenly spaced moments of every clip."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from avsa_fast.data.augment import random_yaws
from avsa_fast.data.loader import Loader
from avsa_fast.data.recordings import recording_of
from avsa_fast.data.samples import Collection, Sample, Samples, Unreadable
from avsa_fast.errors import UserError
from avsa_fast.run import Run

BATCH = 16


@dataclass(frozen=True)
class Pairs:
    """Embeddings of N samples with K = 4 views each.

    Attributes:
        clips: Name of each sample's clip [N].
        moments: Index of each sample's moment within its clip [N].
        video: Embeddings of the crops [N, K, E].
        translated: What the video-to-audio transformer makes of them [N, K, E]; `video` if the run has no AVSA stage.
        audio: Embeddings of the sound views [N, K, E'].
        rotated_audio: Embeddings of the sound views [R, N, K, E'] after rotating each sample's scene by R random yaws.
    """

    clips: list[str]
    moments: list[int]
    video: Tensor
    translated: Tensor
    audio: Tensor
    rotated_audio: Tensor

    @property
    def recordings(self) -> list[str]:
        """Name of each sample's recording [N]."""
        return [recording_of(name) for name in self.clips]


def embed_pairs(
    run: Run, collection: Collection, split: Literal["train", "test"], *, moments: int, seed: int, yaws: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pairs:  # fmt: skip
    """Embeds evenly spaced moments of each clip of a split, without augmentation and at the held-out field of view.

    The yaws of the rotated sound views are uniform over the circle and depend only on seed, split and sample number.

    Args:
        run: Trained run.
        collection: Dataset.
        split: Which clips to embed.
        moments: Moments per clip.
        seed: Seed of the yaws and of the random view directions.
        yaws: Number R of rotations of each sample's sound.
        workers: Worker processes that decode media.
        progress: Called with the number of samples done and their total.

    Returns:
        The embeddings, on the CPU.

    Raises:
        UserError: If the split has no clip, or many clips in a row cannot be read.
    """
    sources = collection.train if split == "train" else collection.held_out
    if not sources:
        raise UserError(f"{run.config.data}: no clip is held out; list some in test.txt")
    count = moments * len(sources)
    clips, indices, parts = [], [], []
    angles = random_yaws(np.random.default_rng([seed, split == "train"]), count * yaws).reshape(count, yaws)
    with _loader(run, collection, split, count, seed, workers) as batches:
        for number, batch in enumerate(batches):
            samples = [_readable(sample) for sample in batch]
            begin = number * BATCH
            video, audio = run.video(samples), run.audio(samples)
            rotated = [
                run.audio([_rotated(sample, angles[begin + i, yaw]) for i, sample in enumerate(samples)]).cpu()
                for yaw in range(yaws)
            ]
            parts.append(
                (
                    video.cpu(), run.translated(video).cpu(), audio.cpu(),
                    torch.stack(rotated, dim=1) if rotated else torch.empty(len(samples), 0),
                )
            )  # fmt: skip
            clips += [sample.name for sample in samples]
            indices += [(begin + i) // len(sources) for i in range(len(samples))]
            progress(begin + len(samples), count)
    video, translated, audio, rotated_audio = (torch.cat(part) for part in zip(*parts, strict=True))
    return Pairs(clips, indices, video, translated, audio, rotated_audio.transpose(0, 1))


def _loader(
    run: Run, collection: Collection, split: str, count: int, seed: int, workers: int
) -> Loader[list[Sample | Unreadable]]:
    """Loader of unaugmented samples of a split, in order."""
    selected = copy.copy(collection)
    selected.held_out = collection.train if split == "train" else collection.held_out  # read if augment=False
    samples = Samples(selected, run.config.samples, seed=seed, count=count, spatial=True, augment=False)
    batches = [range(begin, min(begin + BATCH, count)) for begin in range(0, count, BATCH)]
    return Loader(samples, batches, list, workers, prefetch=2 * workers)


def _readable(sample: Sample | Unreadable) -> Sample:
    """The sample. Raises UserError if it could not be read."""
    if isinstance(sample, Unreadable):
        raise UserError(f"no readable clip among {len(sample.failures)}: {next(iter(sample.failures.values()))}")
    return sample


def _rotated(sample: Sample, yaw: float) -> Sample:
    """The sample with its sound views as if the scene's sound were rotated by -yaw relative to its crops."""
    return sample._replace(directions=sample.directions + np.array([yaw, 0.0], np.float32))
