"""Spherical harmonics (ACN, SN3D) and their rotation matrices by definition, for orders 0 to 7."""

from functools import cache
from math import factorial, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsa_fast.spatial.harmonics import generators, mirror_signs, unit_vectors


def spherical_harmonics(directions: Tensor, order: int = 1) -> Tensor:
    """Real spherical harmonics without Condon-Shortley phase: directions [..., 2] -> [..., (order + 1)²]."""
    return vector_harmonics(unit_vectors(directions), order)


def vector_harmonics(vectors: Tensor, order: int = 1) -> Tensor:
    """Real spherical harmonics of unit vectors [..., 3] -> [..., (order + 1)²].

    N_nm · cos^m(elevation) {cos, sin}(m azimuth) · (P_nm(z) / cos^m(elevation)): the last, a polynomial in z, by
    (n - m) P_nm = (2n - 1) z P_(n-1)m - (n + m - 1) P_(n-2)m from P_mm = (2m - 1)!!.
    """
    x, y, z = vectors.unbind(-1)
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
def _frequencies(order: int) -> NDArray[np.float64]:
    """A and B of exp(a G) = sum over m of cos(m a) A_m + sin(m a) B_m, for G about x, y, z: [3, 2, order + 1, C, C].

    The eigenvalues of G are i m. (torch.linalg.matrix_exp has an error of 1e-11 unless a is small.)
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


def _rotation(axis: int, angle: Tensor, order: int) -> Tensor:
    """Rotation matrices [..., C, C] by angles [...] about an axis (0: x, 1: y, 2: z)."""
    cosines, sines = torch.as_tensor(_frequencies(order)[axis], dtype=angle.dtype, device=angle.device)
    multiples = angle.unsqueeze(-1) * torch.arange(order + 1, device=angle.device)
    return torch.einsum("...m,mij->...ij", multiples.cos(), cosines) + torch.einsum(
        "...m,mij->...ij", multiples.sin(), sines
    )


def rotation_matrices(
    directions: Tensor, roll: Tensor | None = None, flip: Tensor | None = None, order: int = 1
) -> Tensor:
    """Matrices that rotate each direction to the front.

    They are those of Rx(-roll) Ry(elevation) Rz(-azimuth), by the exponentials of their generators; then flip mirrors.

    Args:
        directions: [..., 2], azimuth and elevation in radians.
        roll: None or [...], radians.
        flip: None or bool [...], mirrors left-right.
        order: 0 to 7.

    Returns:
        [..., C, C] with C = (order + 1)².
    """
    azimuth, elevation = directions.unbind(-1)
    out = _rotation(1, elevation, order) @ _rotation(2, -azimuth, order)
    if roll is not None:
        out = _rotation(0, -roll, order) @ out
    if flip is not None:
        signs = directions.new_tensor(mirror_signs(order)).unsqueeze(-1)
        out = torch.where(flip[..., None, None], signs * out, out)
    return out
