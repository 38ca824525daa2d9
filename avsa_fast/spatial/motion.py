"""Values and directions given at P equidistant times, interpolated at each sample."""

import torch
from torch import Tensor

from .harmonics import unit_vectors


def interpolate_values(values: Tensor, samples: int) -> Tensor:
    """Values [..., P, D] at P equidistant times from the first sample to the last, linear between: [..., T, D]."""
    before, after, fraction = _neighbours(values, samples)
    return before + fraction * (after - before)


def interpolate_directions(directions: Tensor, samples: int) -> Tensor:
    """Directions [..., P, 2] at P equidistant times from the first sample to the last, at each sample: [..., T, 2].

    They move along great circles at constant speed; between opposite directions they jump half way.
    """
    start, end, fraction = _neighbours(unit_vectors(directions), samples)
    cosine = (start * end).sum(-1, keepdim=True)
    normal = end - cosine * start  # orthogonal to start, towards end
    length = torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    angle = fraction * torch.atan2(length, cosine)
    x, y, z = (angle.cos() * start + angle.sin() * normal / length.clamp(min=1e-12)).unbind(-1)
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))], dim=-1)


def _neighbours(values: Tensor, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each sample: the values [..., T, D] before and after it, and its fraction [T, 1] of the way between."""
    P = values.shape[-2]
    position = torch.arange(samples, device=values.device, dtype=torch.float64) * ((P - 1) / max(samples - 1, 1))
    first = position.long().clamp(max=max(P - 2, 0))
    fraction = (position - first).to(values.dtype).unsqueeze(-1)
    return values[..., first, :], values[..., (first + 1).clamp(max=P - 1), :], fraction
