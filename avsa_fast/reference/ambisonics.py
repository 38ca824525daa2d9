"""encode, rotate and beamform in plain PyTorch: the definition that the kernels are tested against."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .harmonics import beam_gains, order_of, orders_of_channels, spherical_harmonics, turns, unit_vectors


def encode(signal: Tensor, directions: Tensor, order: int = 1) -> Tensor:
    """Plane waves: signal [..., S, T], directions [..., S, 2] or [..., S, P, 2] -> [..., (order + 1)², T]."""
    if directions.ndim > signal.ndim:
        gains = spherical_harmonics(along(directions, signal.shape[-1]), order)  # [..., S, T, C]
        return torch.einsum("...stc,...st->...ct", gains, signal)
    return spherical_harmonics(directions, order).mT @ signal


def rotate(signals: Tensor, directions: Tensor, *, roll: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
    """Scenes turned: signals [..., C, T], directions [..., K, 2] or [..., K, P, 2] -> [..., K, C, T]."""
    order, T = order_of(signals.shape[-2]), signals.shape[-1]
    if directions.ndim > signals.ndim:
        roll = None if roll is None else between(roll.unsqueeze(-1), T).squeeze(-1)
        flip = None if flip is None else flip.unsqueeze(-1).expand(*flip.shape, T)
        matrix = turns(along(directions, T), roll, flip, order)  # [..., K, T, C, C]
        return torch.einsum("...ktdc,...ct->...kdt", matrix, signals)
    return turns(directions, roll, flip, order) @ signals.unsqueeze(-3)


def beamform(signals: Tensor, directions: Tensor, pattern: str | Sequence[float] = "cardioid") -> Tensor:
    """Beams: signals [..., C, T], directions [..., K, 2] or [..., K, P, 2] -> [..., K, T]."""
    order, T = order_of(signals.shape[-2]), signals.shape[-1]
    if directions.ndim > signals.ndim:
        weights = beam_weights(spherical_harmonics(along(directions, T), order), beam_gains(pattern, order))
        return torch.einsum("...ktc,...ct->...kt", weights, signals)
    return beam_weights(spherical_harmonics(directions, order), beam_gains(pattern, order)) @ signals


def beam_weights(harmonics: Tensor, gains: Sequence[float]) -> Tensor:
    """Channel weights of a beam towards the direction of each [..., C], of one gain an order."""
    return harmonics * harmonics.new_tensor([gains[n] for n in orders_of_channels(len(gains) - 1)])


def between(values: Tensor, samples: int) -> Tensor:
    """Values [..., P, D] at P equidistant times, the first sample to the last, as lines at each sample: [..., T, D]."""
    before, after, share = _neighbours(values, samples)
    return before + share * (after - before)


def along(directions: Tensor, samples: int) -> Tensor:
    """Directions [..., P, 2] at P equidistant times, the first sample to the last, at each sample: [..., T, 2].

    They move along great circles at an even pace; between opposite ones, which many join, they jump half way.
    """
    start, end, share = _neighbours(unit_vectors(directions), samples)
    aside = end - (start * end).sum(-1, keepdim=True) * start
    length = torch.linalg.vector_norm(aside, dim=-1, keepdim=True)
    angle = share * torch.atan2(length, (start * end).sum(-1, keepdim=True))
    x, y, z = (angle.cos() * start + angle.sin() * aside / length.clamp(min=1e-12)).unbind(-1)
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))], dim=-1)


def _neighbours(values: Tensor, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each sample the values [..., P, D] before and after it, [..., T, D], and how far it is between, [T, 1]."""
    P = values.shape[-2]
    position = torch.arange(samples, device=values.device, dtype=torch.float64) * ((P - 1) / max(samples - 1, 1))
    first = position.long().clamp(max=max(P - 2, 0))
    share = (position - first).to(values.dtype).unsqueeze(-1)
    return values[..., first, :], values[..., (first + 1).clamp(max=P - 1), :], share
