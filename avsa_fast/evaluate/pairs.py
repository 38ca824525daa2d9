"""The embeddings that the pretext tasks are scored on: 4 crops and their sounds, at even moments of every clip."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avsa_fast.data.augment import random_yaws
from avsa_fast.data.samples import Collection, Sample, Samples, Unreadable
from avsa_fast.errors import UserError

from .run import Run

BATCH = 16


@dataclass(frozen=True)
class Pairs:
    """N samples with K = 4 crops each: embeddings [N, K, E] of the crops, of their sounds, and of turned sounds."""

    clips: list[str]  # [N], the name of each sample's clip
    rounds: list[int]  # [N], the number of each sample's moment in its clip
    video: Tensor
    audio: Tensor
    turned: Tensor  # the scene turned by a random yaw, one a sample


def embed_pairs(
    run: Run, collection: Collection, split: Literal["train", "test"], *, moments: int, seed: int, workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pairs:  # fmt: skip
    """Embeds `moments` evenly spaced moments of each clip of a split, unaugmented, at the held-out field of view.

    Each sample's yaw is uniform over the circle and depends on seed, split and number alone.
    Raises UserError where the split has no clip, or many in a row cannot be read.
    """
    sources = collection.train if split == "train" else collection.held_out
    if not sources:
        raise UserError(f"{run.config.data}: no clip is held out; test.txt names those that are")
    count = moments * len(sources)
    clips, rounds, parts = [], [], []
    yaws = random_yaws(np.random.default_rng([seed, split == "train"]), count)
    for number, samples in enumerate(_batches(run, collection, split, count, seed, workers)):
        begin = number * BATCH
        turned = [_turned(sample, yaws[begin + i]) for i, sample in enumerate(samples)]
        parts.append((run.video(samples).cpu(), run.audio(samples).cpu(), run.audio(turned).cpu()))
        clips += [sample.name for sample in samples]
        rounds += [(begin + i) // len(sources) for i in range(len(samples))]
        progress(begin + len(samples), count)
    return Pairs(clips, rounds, *(torch.cat(part) for part in zip(*parts, strict=True)))


def _batches(
    run: Run, collection: Collection, split: str, count: int, seed: int, workers: int
) -> Iterator[list[Sample]]:
    chosen = copy.copy(collection)
    chosen.held_out = collection.train if split == "train" else collection.held_out  # what is read unaugmented
    samples = Samples(chosen, run.config.samples, seed=seed, count=count, spatial=True, augment=False)
    for batch in DataLoader(samples, batch_size=BATCH, collate_fn=list, num_workers=workers):
        for sample in batch:
            if isinstance(sample, Unreadable):
                raise UserError(
                    f"no readable clip among {len(sample.failures)}: {next(iter(sample.failures.values()))}"
                )
        yield batch


def _turned(sample: Sample, yaw: float) -> Sample:
    """The sample as it sounds when the scene is turned by -yaw under its crops."""
    return sample._replace(directions=sample.directions + np.array([yaw, 0.0], np.float32))
