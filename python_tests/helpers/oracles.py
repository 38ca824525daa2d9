"""Definitions that do not come from avsa_fast: edge directions, rotation matrices, and SciPy's spherical harmonics."""

from itertools import product
from math import cos, pi, sin, sqrt

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import sph_harm_y
from torch import Tensor

Array = NDArray[np.float64]

# float32's own π and π / 2, which are 9e-8 and 4e-8 too large.
HALF_TURN, QUARTER_TURN = float(np.float32(pi)), float(np.float32(pi / 2))
AZIMUTHS = (0.7, pi, -HALF_TURN, 6.9)
ELEVATIONS = (0.0, pi / 2, -pi / 2, QUARTER_TURN, -QUARTER_TURN, 1e-4 - pi / 2)


def edge_directions(dtype: torch.dtype = torch.float64) -> Tensor:
    """Seam, poles, a direction near one, and azimuths beyond a full rotation, each once in `dtype`: [K, 2]."""
    return torch.tensor(list(product(AZIMUTHS, ELEVATIONS)), dtype=torch.float64).to(dtype).unique(dim=0)


def vectors(directions: ArrayLike) -> Array:
    """Unit vectors (x, y, z) [..., 3] of azimuths and elevations [..., 2]."""
    azimuth, elevation = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    across = np.cos(elevation)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)], axis=-1)


def camera(azimuth: float, elevation: float, roll: float = 0.0) -> Array:
    """Axes of a camera as columns (its front, left and up): Rz(azimuth) Ry(-elevation) Rx(roll)."""
    about_z = np.array([[cos(azimuth), -sin(azimuth), 0], [sin(azimuth), cos(azimuth), 0], [0, 0, 1]])
    about_y = np.array([[cos(elevation), 0, -sin(elevation)], [0, 1, 0], [sin(elevation), 0, cos(elevation)]])
    about_x = np.array([[1, 0, 0], [0, cos(roll), -sin(roll)], [0, sin(roll), cos(roll)]])
    return about_z @ about_y @ about_x


def cameras(directions: ArrayLike, roll: ArrayLike | None = None) -> Array:
    """The axes of cameras, [..., 3, 3]: directions [..., 2], roll None or [...]."""
    angles = np.asarray(directions, np.float64)
    rolls = np.zeros(angles.shape[:-1]) if roll is None else np.asarray(roll, np.float64)
    each = [camera(*pose) for pose in np.concatenate([angles, rolls[..., None]], axis=-1).reshape(-1, 3)]
    return np.array(each).reshape(*angles.shape[:-1], 3, 3)


def real_harmonics(points: Array, order: int, *, n3d: bool = False) -> Array:
    """Real harmonics without Condon-Shortley phase, ACN, SN3D (or N3D), of unit vectors [..., 3]: [..., C]."""
    x, y, z = np.moveaxis(points, -1, 0)
    polar, azimuth = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    channels = []
    for n in range(order + 1):
        norm = sqrt(4 * pi / (1 if n3d else 2 * n + 1))
        for m in range(-n, n + 1):
            value = sph_harm_y(n, abs(m), polar, azimuth) * (norm * (-1) ** m * (sqrt(2) if m else 1))
            channels.append(value.imag if m < 0 else value.real)
    return np.stack(channels, axis=-1)
