"""Conversion of ambisonic channels between N3D or Furse-Malham and the convention of avsa_fast: ACN order, SN3D."""

from math import sqrt

import torch
from torch import Tensor

from avsa_fast.spatial.harmonics import order_of, orders_of_channels

# For each Furse-Malham channel, W X Y Z R S T U V K L M N O P Q: its ACN number, and its maxN gain relative to SN3D.
FUMA_ACN = (0, 3, 1, 2, 6, 7, 5, 8, 4, 12, 13, 11, 14, 10, 15, 9)
FUMA_GAINS = (
    sqrt(1 / 2), 1, 1, 1, 1, 2 / sqrt(3), 2 / sqrt(3), 2 / sqrt(3), 2 / sqrt(3),
    1, sqrt(45 / 32), sqrt(45 / 32), 3 / sqrt(5), 3 / sqrt(5), sqrt(8 / 5), sqrt(8 / 5),
)  # fmt: skip


def from_n3d(signals: Tensor) -> Tensor:
    """Converts N3D to SN3D.

    Args:
        signals: [..., (order + 1)², T] in ACN order, order 0 to 7.

    Returns:
        Signals of the same shape.

    Raises:
        ValueError: The number of channels is not supported.
    """
    return signals / _n3d_gains(signals)


def to_n3d(signals: Tensor) -> Tensor:
    """Converts SN3D to N3D.

    Args:
        signals: [..., (order + 1)², T] in ACN order, order 0 to 7.

    Returns:
        Signals of the same shape.

    Raises:
        ValueError: The number of channels is not supported.
    """
    return signals * _n3d_gains(signals)


def from_fuma(signals: Tensor) -> Tensor:
    """Converts Furse-Malham (W, X, Y, Z, R, ...) to ACN order and SN3D.

    Args:
        signals: [..., C, T], with C = 1, 4, 9 or 16.

    Returns:
        Signals of the same shape.

    Raises:
        ValueError: The number of channels is not supported.
    """
    numbers, gains = _fuma(signals)
    return (signals / gains)[..., torch.argsort(numbers), :]


def to_fuma(signals: Tensor) -> Tensor:
    """Converts ACN order and SN3D to Furse-Malham (W, X, Y, Z, R, ...).

    Args:
        signals: [..., C, T], with C = 1, 4, 9 or 16.

    Returns:
        Signals of the same shape.

    Raises:
        ValueError: The number of channels is not supported.
    """
    numbers, gains = _fuma(signals)
    return signals[..., numbers, :] * gains


def _n3d_gains(signals: Tensor) -> Tensor:
    """Gains [C, 1] of N3D relative to SN3D."""
    orders = orders_of_channels(_order(signals, 7))
    return signals.new_tensor([sqrt(2 * n + 1) for n in orders]).unsqueeze(-1)


def _fuma(signals: Tensor) -> tuple[Tensor, Tensor]:
    """ACN numbers [C] and gains [C, 1] of Furse-Malham channels."""
    C = (_order(signals, 3) + 1) ** 2
    return torch.tensor(FUMA_ACN[:C], device=signals.device), signals.new_tensor(FUMA_GAINS[:C]).unsqueeze(-1)


def _order(signals: Tensor, highest: int) -> int:
    """Ambisonic order of signals [..., C, T]. Raises ValueError unless it is 0 to `highest`."""
    order = order_of(signals.shape[-2]) if signals.ndim >= 2 else -1
    if not 0 <= order <= highest:
        raise ValueError(f"signals must be [..., (order + 1)², T] of order 0 to {highest}, not {list(signals.shape)}")
    return order
