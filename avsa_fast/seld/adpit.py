"""ADPIT: the loss of tracks whose order is free, after Shimada et al. 2022, "Multi-ACCDOA"."""

from itertools import product

import torch
from torch import Tensor

from .model import TRACKS

# Ways in which all tracks take the events 0 .. n - 1 of a class, each at least once: [13, TRACKS], and n for each. With
# fewer events than tracks, an event is in several tracks.
WAYS = [(way, n) for n in range(1, TRACKS + 1) for way in product(range(n), repeat=TRACKS) if set(way) == set(range(n))]


def adpit_loss(output: Tensor, events: Tensor, count: Tensor) -> Tensor:
    """Computes the mean squared error of the best way in which the tracks take the events.

    Args:
        output: float32 [N, frames, TRACKS, classes, 4], as from `Detector`.
        events: float32 [N, frames, classes, TRACKS, 4], the first `count` events of each class: unit vectors, and
            distances in units of METRES, NaN where they are not known; zeros beyond `count`.
        count: int64 [N, frames, classes], 0 to TRACKS; without events, all tracks should be zero.

    Returns:
        The loss [].
    """
    ways = torch.tensor([way for way, _ in WAYS], device=output.device)
    needed = torch.tensor([n for _, n in WAYS], device=output.device)
    predicted = output.transpose(2, 3).unsqueeze(-3)  # [N, frames, classes, 1, TRACKS, 4]
    wanted = events[..., ways, :]  # [N, frames, classes, 13, TRACKS, 4]
    wanted = torch.where(wanted.isnan(), predicted, wanted)  # without error, and without gradient
    errors = (predicted - wanted).square().mean(dim=(-2, -1))
    possible = needed == count.clamp(min=1).unsqueeze(-1)
    return errors.masked_fill(~possible, torch.inf).amin(dim=-1).mean()
