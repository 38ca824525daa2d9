"""First-order ambisonics (ACN, SN3D) in plain PyTorch: the definition that the kernels are tested against."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Gains of orders 0 and 1, front gain 1 (CONVENTIONS: cardioid is also in_phase, supercardioid also max_re at order 1).
PATTERNS = {
    "cardioid": (0.5, 0.5),
    "hypercardioid": (0.25, 0.75),
    "supercardioid": ((3**0.5 - 1) / 2, (3 - 3**0.5) / 2),
    "max_re": ((3**0.5 - 1) / 2, (3 - 3**0.5) / 2),
    "in_phase": (0.5, 0.5),
}


def spherical_harmonics(directions: Tensor) -> Tensor:
    """Real spherical harmonics to order 1 in ACN order with SN3D norm: directions [..., 2] -> [..., 4]."""
    azimuth, elevation = directions.unbind(-1)
    across = elevation.cos()
    return torch.stack(
        [torch.ones_like(azimuth), azimuth.sin() * across, elevation.sin(), azimuth.cos() * across], dim=-1
    )


def rotation_to_front(directions: Tensor, roll: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
    """Matrices on (W, Y, Z, X) that bring each direction to the front: [..., 2] -> [..., 4, 4].

    On (X, Y, Z) it is Rx(-roll) Ry(elevation) Rz(-azimuth); flip then negates Y.
    """
    azimuth, elevation = directions.unbind(-1)
    roll = torch.zeros_like(azimuth) if roll is None else roll
    ca, sa, ce, se, cr, sr = azimuth.cos(), azimuth.sin(), elevation.cos(), elevation.sin(), roll.cos(), roll.sin()
    mirror = 1 if flip is None else 1 - 2 * flip.to(directions.dtype)
    zero, one = torch.zeros_like(azimuth), torch.ones_like(azimuth)
    rows = [
        [one, zero, zero, zero],
        [zero, mirror * (ca * cr - sa * se * sr), mirror * (ce * sr), mirror * (-sa * cr - ca * se * sr)],
        [zero, -ca * sr - sa * se * cr, ce * cr, sa * sr - ca * se * cr],
        [zero, sa * ce, se, ca * ce],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def beam_gains(pattern: str | Sequence[float]) -> tuple[float, float]:
    """Gains of orders 0 and 1 of a beam pattern.

    Raises TypeError or ValueError for a pattern that is neither a known name nor two finite numbers.
    """
    if isinstance(pattern, str):
        if pattern not in PATTERNS:
            raise ValueError(f"pattern must be one of {', '.join(PATTERNS)} or [order + 1] gains, not {pattern!r}")
        return PATTERNS[pattern]
    if not isinstance(pattern, Sequence):
        raise TypeError(f"pattern must be a name or a sequence of [order + 1] gains, not {type(pattern).__name__}")
    gains = [float(gain) for gain in pattern]
    if len(gains) != 2 or not all(abs(gain) < float("inf") for gain in gains):
        raise ValueError(f"pattern must hold 2 finite gains, of orders 0 and 1, not {gains}")
    return gains[0], gains[1]


def beam_weights(directions: Tensor, gains: tuple[float, float]) -> Tensor:
    """Channel weights of a beam towards each direction: [..., 2] -> [..., 4]."""
    return spherical_harmonics(directions) * directions.new_tensor([gains[0], gains[1], gains[1], gains[1]])


def encode(signal: Tensor, directions: Tensor, order: int = 1) -> Tensor:
    """Plane waves: signal [..., S, T], directions [..., S, 2] -> [..., 4, T]."""
    return spherical_harmonics(directions).mT @ signal


def rotate(signals: Tensor, directions: Tensor, *, roll: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
    """Scenes turned to each direction: signals [..., 4, T], directions [..., K, 2] -> [..., K, 4, T]."""
    return rotation_to_front(directions, roll, flip) @ signals.unsqueeze(-3)


def beamform(signals: Tensor, directions: Tensor, pattern: str | Sequence[float] = "cardioid") -> Tensor:
    """Beams towards each direction: signals [..., 4, T], directions [..., K, 2] -> [..., K, T]."""
    return beam_weights(directions, beam_gains(pattern)) @ signals
