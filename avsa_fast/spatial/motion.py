"""Values and directions given at P equidistant times, interpolated at each sample.

Directions move along great circles at constant speed; between opposite directions they jump half way.
"""

import torch
from torch import Tensor

from .harmonics import unit_vectors

MIN_SINE = 1e-8  # of the angle between directions: below, the great circle between them is rounding noise


def interpolate_values(values: Tensor, samples: int) -> Tensor:
    """Values [..., P, D] at P equidistant times from the first sample to the last, linear between: [..., T, D]."""
    before, after, fraction = _neighbours(values.shape[-2], samples, values)
    start, end = values[..., before, :], values[..., after, :]
    return start + fraction.unsqueeze(-1) * (end - start)


def interpolate_vectors(directions: Tensor, samples: int) -> Tensor:
    """Unit vectors [..., T, 3] of directions [..., P, 2] that move from the first sample to the last."""
    vectors = unit_vectors(directions)
    before, after, start_weight, end_weight = _weights(vectors, samples)
    return start_weight.unsqueeze(-1) * vectors[..., before, :] + end_weight.unsqueeze(-1) * vectors[..., after, :]


def interpolate_directions(directions: Tensor, samples: int) -> Tensor:
    """Directions [..., P, 2] that move from the first sample to the last: azimuth and elevation [..., T, 2].

    At the given times they are the given directions. Azimuths come from the horizontal parts of the two neighbours, not
    from that of their sum, because at a pole it is rounding noise, or of opposite sign: float32's pi/2 is above pi/2.
    """
    azimuth, elevation = directions.unbind(-1)
    before, after, start_weight, end_weight = _weights(unit_vectors(directions), samples)
    start = start_weight * elevation.cos()[..., before]
    end = end_weight * elevation.cos()[..., after]
    up = start_weight * elevation.sin()[..., before] + end_weight * elevation.sin()[..., after]
    turn = azimuth[..., after] - azimuth[..., before]
    x, y = start + end * turn.cos(), end * turn.sin()  # in axes turned to the azimuth before
    side = torch.where(start + end < 0, -1.0, 1.0).to(x)  # -1: beyond the pole
    return torch.stack(
        [azimuth[..., before] + torch.atan2(side * y, side * x), torch.atan2(up, side * torch.hypot(x, y))], dim=-1
    )


def _weights(vectors: Tensor, samples: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each sample: which of the unit vectors [..., P, 3] are before and after it [T], and their weights [..., T].

    The sum of the two, so weighted, is the unit vector at the sample.
    """
    before, after, fraction = _neighbours(vectors.shape[-2], samples, vectors)
    following = torch.cat([vectors[..., 1:, :], vectors[..., -1:, :]], dim=-2)
    cosine = (vectors * following).sum(-1)
    normal = following - cosine.unsqueeze(-1) * vectors  # orthogonal to a vector, towards the following one
    straight = torch.linalg.vector_norm(normal.detach(), dim=-1) < MIN_SINE
    # Replaced where it is not used: the norm of 0 has no derivative.
    sine = torch.linalg.vector_norm(torch.where(straight.unsqueeze(-1), vectors, normal), dim=-1)
    angle = torch.atan2(sine, cosine)[..., before]
    straight, opposite, sine = straight[..., before], cosine[..., before] < 0, sine[..., before]
    linear = torch.where(opposite, (fraction >= 0.5).to(fraction), fraction)
    start_weight = torch.where(straight, 1 - linear, ((1 - fraction) * angle).sin() / sine)
    end_weight = torch.where(straight, linear, (fraction * angle).sin() / sine)
    return before, after, start_weight, end_weight


def _neighbours(count: int, samples: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each sample: which of `count` values are before and after it, and its fraction of the way between: [T]."""
    steps = max(samples - 1, 1)
    position = torch.arange(samples, device=like.device) * (count - 1)  # in integers: exact at the given times
    # position // steps, of which torch 2.14's inductor leaves the last elements unwritten on the CPU.
    times = torch.arange(count, device=like.device) * steps
    before = (torch.searchsorted(times, position, right=True) - 1).clamp(max=max(count - 2, 0))
    return before, (before + 1).clamp(max=count - 1), (position - before * steps).to(like.dtype) / steps
