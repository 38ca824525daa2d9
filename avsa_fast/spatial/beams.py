"""Axisymmetric beam patterns of ambisonic scenes."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.polynomial import legendre
from scipy.linalg import eigh
from torch import Tensor

PATTERNS = ("cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase")


def beam_weights(harmonics: Tensor, gains: Sequence[float]) -> Tensor:
    """Channel weights [..., C] of beams: the harmonics of their directions [..., C], scaled by one gain per order."""
    # Written by kernels: a tensor made from a list is copied from the host, which no CUDA graph can capture.
    return harmonics * torch.cat([harmonics.new_full((2 * n + 1,), gain) for n, gain in enumerate(gains)])


def beam_gains(pattern: str | Sequence[float], order: int = 1) -> list[float]:
    """Gains a_n of orders 0 to `order` of a beam pattern, the sum of a_n P_n(cos angle).

    Args:
        pattern: A name of PATTERNS, or the order + 1 gains themselves.
        order: 0 to 7.

    Returns:
        order + 1 gains; those of a named pattern sum to 1, the gain at the front (docs/ambisonics.md).

    Raises:
        ValueError: The name is unknown.
    """
    if not isinstance(pattern, str):
        return list(pattern)
    if pattern not in PATTERNS:
        raise ValueError(f"pattern must be one of {', '.join(PATTERNS)} or [order + 1] gains, not {pattern!r}")
    return list(_named_gains(pattern, order))


# Evaluated while torch.compile traces, which cannot follow NumPy's polynomials.
@torch.compiler.assume_constant_result
def _named_gains(pattern: str, order: int) -> tuple[float, ...]:
    return _gains_by_definition(pattern, order)


@cache
def _gains_by_definition(pattern: str, order: int) -> tuple[float, ...]:
    if pattern in ("cardioid", "in_phase"):
        gains = legendre.poly2leg(np.polynomial.polynomial.polypow([0.5, 0.5], order))
    elif pattern == "hypercardioid":  # the most directive
        gains = 2 * np.arange(order + 1) + 1.0
    elif pattern == "max_re":  # the longest energy vector: r is the largest root of P_(order + 1)
        r = legendre.leggauss(order + 1)[0].max()
        gains = (2 * np.arange(order + 1) + 1) * legendre.legvander(np.array([r]), order)[0]
    else:  # supercardioid, the least energy at the back against all: the smallest eigenvalue of back against all
        nodes, weights = legendre.leggauss(order + 1)
        back = legendre.legvander((nodes - 1) / 2, order)  # Gauss nodes of [-1, 0]
        energy = (back.T * (weights / 2)) @ back
        gains = eigh(energy, np.diag(2 / (2 * np.arange(order + 1) + 1.0)))[1][:, 0]
    return tuple((gains / gains.sum()).tolist())
