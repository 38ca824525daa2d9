"""Random numbers of training steps."""

import random

import numpy as np
import torch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seeds the generators of Python, NumPy and torch for one step.

    A resumed run thus draws the same random numbers as an uninterrupted one, without saved generator state.

    Args:
        seed: Seed of the run.
        step: Number of the step, over both stages.
        rank: Rank of this process.
    """
    number = int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 (libraries may draw from it)
    torch.manual_seed(number)
