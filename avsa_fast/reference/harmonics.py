"""Spherical harmonics (ACN, SN3D), how they turn, and beam patterns, for orders 0 to 7."""

from collections.abc import Sequence
from functools import cache
from math import factorial, isfinite, sqrt

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor

MAX_ORDER = 7
PATTERNS = ("cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase")


def order_of(channels: int) -> int:
    """The order of a scene of (order + 1)² channels; -1 where there is no such order up to 7."""
    orders = {(order + 1) ** 2: order for order in range(MAX_ORDER + 1)}
    return orders.get(channels, -1)


def orders_of_channels(order: int) -> list[int]:
    """The order of each ACN channel: 0, 1, 1, 1, 2, ..."""
    return [n for n in range(order + 1) for _ in range(2 * n + 1)]


def unit_vectors(directions: Tensor) -> Tensor:
    """Azimuth and elevation [..., 2] -> x, y, z [..., 3]."""
    azimuth, elevation = directions.unbind(-1)
    across = elevation.cos()
    return torch.stack([across * azimuth.cos(), across * azimuth.sin(), elevation.sin()], dim=-1)


def spherical_harmonics(directions: Tensor, order: int = 1) -> Tensor:
    """Real spherical harmonics without Condon-Shortley phase: directions [..., 2] -> [..., (order + 1)²].

    N_nm · cos^m(elevation) {cos, sin}(m azimuth) · (P_nm(z) / cos^m(elevation)): the last, a polynomial in z, by
    (n - m) P_nm = (2n - 1) z P_(n-1)m - (n + m - 1) P_(n-2)m from P_mm = (2m - 1)!!.
    """
    x, y, z = unit_vectors(directions).unbind(-1)
    channels: dict[tuple[int, int], Tensor] = {}
    cosine, sine, start = torch.ones_like(z), torch.zeros_like(z), 1.0
    for m in range(order + 1):
        previous, legendre_n = torch.zeros_like(z), torch.full_like(z, start)
        for n in range(m, order + 1):
            norm = sqrt((1 if m == 0 else 2) * factorial(n - m) / factorial(n + m))
            channels[n, m] = norm * legendre_n * cosine
            if m:
                channels[n, -m] = norm * legendre_n * sine
            following = ((2 * n + 1) * z * legendre_n - (n + m) * previous) / (n + 1 - m)
            previous, legendre_n = legendre_n, following
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        start *= 2 * m + 1
    return torch.stack([channels[n, m] for n in range(order + 1) for m in range(-n, n + 1)], dim=-1)


@cache
def generators(order: int) -> NDArray[np.float64]:
    """G of the turns about x, y and z, [3, C, C]: for a small angle a about an axis, Y(turned u) = (1 + a G) Y(u).

    The angular momentum operators, which are known for complex harmonics, in the basis of the real ones.
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
    turned: NDArray[np.float64] = (1j * real @ momentum.transpose(0, 2, 1) @ real.conj().T).real
    return turned


def mirror_signs(order: int) -> list[int]:
    """-1 for the channels that are odd in y, which a left-right mirror negates: those of m < 0."""
    return [-1 if m < 0 else 1 for n in range(order + 1) for m in range(-n, n + 1)]


@cache
def _frequencies(order: int) -> NDArray[np.float64]:
    """A and B of exp(a G) = sum over m of cos(m a) A_m + sin(m a) B_m, for G about x, y, z: [3, 2, order + 1, C, C].

    The eigenvalues of G are i m. (torch.linalg.matrix_exp is right to 1e-11 only where a is some hundredths.)
    """
    C = (order + 1) ** 2
    parts = np.zeros((3, 2, order + 1, C, C))
    for axis, generator in enumerate(generators(order)):
        values, vectors = np.linalg.eigh(1j * generator)
        for m, vector in zip(np.rint(values).astype(int), vectors.T, strict=True):
            projection = np.outer(vector, vector.conj())
            parts[axis, 0, abs(m)] += projection.real
            parts[axis, 1, abs(m)] += np.sign(m) * projection.imag
    return parts


def _turn(axis: int, angle: Tensor, order: int) -> Tensor:
    """The turn by angles [...] about an axis: [..., C, C]."""
    cosines, sines = torch.as_tensor(_frequencies(order)[axis], dtype=angle.dtype, device=angle.device)
    multiples = angle.unsqueeze(-1) * torch.arange(order + 1, device=angle.device)
    return torch.einsum("...m,mij->...ij", multiples.cos(), cosines) + torch.einsum(
        "...m,mij->...ij", multiples.sin(), sines
    )


def turns(directions: Tensor, roll: Tensor | None = None, flip: Tensor | None = None, order: int = 1) -> Tensor:
    """Matrices that bring each direction to the front: [..., 2] -> [..., (order + 1)², (order + 1)²].

    Those of Rx(-roll) Ry(elevation) Rz(-azimuth), by the exponentials of their generators; flip then mirrors.
    """
    azimuth, elevation = directions.unbind(-1)
    out = _turn(1, elevation, order) @ _turn(2, -azimuth, order)
    if roll is not None:
        out = _turn(0, -roll, order) @ out
    if flip is not None:
        signs = directions.new_tensor(mirror_signs(order)).unsqueeze(-1)
        out = torch.where(flip[..., None, None], signs * out, out)
    return out


def beam_gains(pattern: str | Sequence[float], order: int = 1) -> list[float]:
    """Gains of orders 0 to `order` of a beam pattern, the sum of a_n P_n(cos angle).

    Raises TypeError or ValueError for a pattern that is neither a known name nor order + 1 finite numbers.
    """
    if isinstance(pattern, str):
        if pattern not in PATTERNS:
            raise ValueError(f"pattern must be one of {', '.join(PATTERNS)} or [order + 1] gains, not {pattern!r}")
        return list(_named_gains(pattern, order))
    if not isinstance(pattern, Sequence):
        raise TypeError(f"pattern must be a name or a sequence of [order + 1] gains, not {type(pattern).__name__}")
    gains = [float(gain) for gain in pattern]
    if len(gains) != order + 1 or not all(map(isfinite, gains)):
        raise ValueError(f"pattern must hold {order + 1} finite gains, of orders 0 to {order}, not {gains}")
    return gains


# Known when torch.compile traces, which cannot follow NumPy's polynomials.
@torch.compiler.assume_constant_result
def _named_gains(pattern: str, order: int) -> tuple[float, ...]:
    return _gains_by_definition(pattern, order)


@cache
def _gains_by_definition(pattern: str, order: int) -> tuple[float, ...]:
    """Front gain 1 (docs/ambisonics.md)."""
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
