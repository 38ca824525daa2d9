"""Ambisonic channels (ACN, SN3D) of orders 0 to 7: their orders, their symmetry, and generators of rotations."""

from functools import cache
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_ORDER = 7


def order_of(channels: int) -> int:
    """Order of a scene of (order + 1)² channels; -1 if there is no such order up to 7."""
    # Compared one by one: torch.export's symbolic sizes have no hash.
    return next((order for order in range(MAX_ORDER + 1) if (order + 1) ** 2 == channels), -1)


def orders_of_channels(order: int) -> list[int]:
    """Order of each ACN channel: 0, 1, 1, 1, 2, ..."""
    return [n for n in range(order + 1) for _ in range(2 * n + 1)]


def unit_vectors(directions: Tensor) -> Tensor:
    """Unit vectors (x, y, z) [..., 3] of directions (azimuth, elevation) [..., 2]."""
    azimuth, elevation = directions.unbind(-1)
    horizontal = elevation.cos()
    return torch.stack([horizontal * azimuth.cos(), horizontal * azimuth.sin(), elevation.sin()], dim=-1)


def mirror_signs(order: int) -> list[int]:
    """-1 for the channels that are odd in y (m < 0), which a left-right mirror negates, else 1."""
    return [-1 if m < 0 else 1 for n in range(order + 1) for m in range(-n, n + 1)]


@cache
def generators(order: int) -> NDArray[np.float64]:
    """Generators G of the rotations about x, y and z.

    For a small angle a about an axis, Y(rotated direction) = (1 + a G) Y(direction). They are the angular momentum
    operators, which are known for complex harmonics, in the basis of the real ones.

    Args:
        order: 0 to 7.

    Returns:
        [3, C, C], C = (order + 1)².
    """
    C = (order + 1) ** 2
    momentum, real = np.zeros((3, C, C), complex), np.zeros((C, C), complex)
    for n in range(order + 1):
        zero = n * (n + 1)
        for m in range(-n, n + 1):
            momentum[2, zero + m, zero + m] = m
            if m < n:
                up = sqrt((n - m) * (n + m + 1)) / 2
                momentum[0, [zero + m + 1, zero + m], [zero + m, zero + m + 1]] = up
                momentum[1, [zero + m + 1, zero + m], [zero + m, zero + m + 1]] = -1j * up, 1j * up
        real[zero, zero] = 1
        for m in range(1, n + 1):
            sign = (-1) ** m
            real[zero + m, [zero + m, zero - m]] = sign / sqrt(2), 1 / sqrt(2)
            real[zero - m, [zero + m, zero - m]] = sign / (1j * sqrt(2)), -1 / (1j * sqrt(2))
    result: NDArray[np.float64] = (1j * real @ momentum.transpose(0, 2, 1) @ real.conj().T).real
    return result
