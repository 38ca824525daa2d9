"""Conventions of ambisonic channels, to and from those used here: ACN order, SN3D norm."""

from math import sqrt

import torch
from torch import Tensor

from avsa_fast.reference.harmonics import order_of, orders_of_channels

# Furse-Malham: which ACN channel each of W X Y Z R S T U V K L M N O P Q is, and its maxN gain over SN3D.
FUMA_ACN = (0, 3, 1, 2, 6, 7, 5, 8, 4, 12, 13, 11, 14, 10, 15, 9)
FUMA_GAINS = (
    sqrt(1 / 2), 1, 1, 1, 1, 2 / sqrt(3), 2 / sqrt(3), 2 / sqrt(3), 2 / sqrt(3),
    1, sqrt(45 / 32), sqrt(45 / 32), 3 / sqrt(5), 3 / sqrt(5), sqrt(8 / 5), sqrt(8 / 5),
)  # fmt: skip


def from_n3d(signals: Tensor) -> Tensor:
    """N3D to SN3D: [..., (order + 1)², T], order 0 to 7. Raises ValueError for another number of channels."""
    return signals / _n3d_gains(signals)


def to_n3d(signals: Tensor) -> Tensor:
    """SN3D to N3D: [..., (order + 1)², T], order 0 to 7. Raises ValueError for another number of channels."""
    return signals * _n3d_gains(signals)


def from_fuma(signals: Tensor) -> Tensor:
    """Furse-Malham (W, X, Y, Z, R, ...) to ACN, SN3D: [..., 1, 4, 9 or 16, T]. Raises ValueError for other channels."""
    places, gains = _fuma(signals)
    return (signals / gains)[..., torch.argsort(places), :]


def to_fuma(signals: Tensor) -> Tensor:
    """ACN, SN3D to Furse-Malham (W, X, Y, Z, R, ...): [..., 1, 4, 9 or 16, T]. Raises ValueError for other channels."""
    places, gains = _fuma(signals)
    return signals[..., places, :] * gains


def _n3d_gains(signals: Tensor) -> Tensor:
    orders = orders_of_channels(_order(signals, 7))
    return signals.new_tensor([sqrt(2 * n + 1) for n in orders]).unsqueeze(-1)


def _fuma(signals: Tensor) -> tuple[Tensor, Tensor]:
    C = (_order(signals, 3) + 1) ** 2
    return torch.tensor(FUMA_ACN[:C], device=signals.device), signals.new_tensor(FUMA_GAINS[:C]).unsqueeze(-1)


def _order(signals: Tensor, highest: int) -> int:
    order = order_of(signals.shape[-2]) if signals.ndim >= 2 else -1
    if not 0 <= order <= highest:
        raise ValueError(f"signals must be [..., (order + 1)², T] of order 0 to {highest}, not {list(signals.shape)}")
    return order
