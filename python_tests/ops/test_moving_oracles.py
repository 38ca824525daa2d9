"""Moving directions against static ones, SciPy's great circles and plane waves turned by rotation matrices."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.oracles import QUARTER_TURN, Array, cameras, edge_directions, real_harmonics, vectors
from scipy.spatial import geometric_slerp
from torch import Tensor

from avsa_fast import ops

ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24}
DTYPES = pytest.mark.parametrize("dtype", ROUNDOFF)
ORDERS = pytest.mark.parametrize("order", [1, 7])


def bound(order: int, dtype: torch.dtype) -> float:
    """Error of a sum over channels of products of rotations or harmonics and a plane wave.

    A direction of a path is stored as `dtype`, with an error of at most 4 roundings of 1 (azimuths are at most π), and
    harmonics change by at most n per radian, in each of two angles. Others: 2n roundings for each order's recurrence,
    n² in all, for both sides and each of 2n + 1 channels; and a rounding of each factor, product and sum.
    """
    C = (order + 1) ** 2
    return (2 * 4 * order + C + 3) * ROUNDOFF[dtype] + 2 * C * (2 * order + 1) * ROUNDOFF[torch.float64]


def operations(dtype: torch.dtype, order: int, count: int) -> dict[str, tuple[Callable[[Tensor], Tensor], float]]:
    """Functions of directions [count, 2] or [count, P, 2], and the largest sum of magnitudes behind a value of each."""
    scene, sources = torch.randn((order + 1) ** 2, 40).to(dtype), torch.randn(count, 40).to(dtype)
    roll, flip = torch.linspace(-3, 3, count).to(dtype), torch.arange(count) % 2 == 0

    def rotate(directions: Tensor) -> Tensor:
        rolls = roll if directions.ndim == 2 else roll[:, None].expand(directions.shape[:2])
        return ops.rotate(scene, directions, roll=rolls, flip=flip)

    everything = float(scene.abs().sum(0).max())
    return {
        "encode": (lambda directions: ops.encode(sources, directions, order), float(sources.abs().sum(0).max())),
        "rotate": (rotate, everything),
        "beamform": (lambda directions: ops.beamform(scene, directions, "max_re"), everything),
    }


@ORDERS
@DTYPES
@pytest.mark.parametrize("P", [1, 4])
@pytest.mark.parametrize("operation", ["encode", "rotate", "beamform"])
def test_constant_paths_equal_static_directions_at_edges(
    operation: str, P: int, dtype: torch.dtype, order: int
) -> None:
    still = edge_directions(dtype)
    function, largest = operations(dtype, order, len(still))[operation]
    moving = function(still.unsqueeze(1).expand(-1, P, -1))
    torch.testing.assert_close(moving, function(still), rtol=0, atol=largest * bound(order, dtype))


def great_circles(paths: Tensor, samples: int) -> Array:
    """Points [S, T, 3] along paths [S, P, 2], by SciPy."""
    circles = []
    for points in vectors(paths):
        position = np.arange(samples) * ((len(points) - 1) / (samples - 1))
        segment = np.minimum(position.astype(int), len(points) - 2)
        circles.append([
            geometric_slerp(points[s], points[s + 1], position[t] - s, tol=1e-9) for t, s in enumerate(segment)
        ])  # fmt: skip
    return np.array(circles)


PATHS = [
    [(0.7, 1.2), (0.7 - math.pi, 1.2), (3.0, -0.4)],  # through the zenith
    [(3.0, 0.2), (-3.0, 0.1), (3.1, -1.5)],  # across the seam, to near the nadir
    [(0.4, 0.0), (0.4, QUARTER_TURN), (2.0, -1.2)],  # by way of float32's zenith
    [(math.pi, -QUARTER_TURN), (-math.pi, 0.0), (0.1, 1.0)],
]


@ORDERS
@DTYPES
def test_moving_sources_follow_scipys_great_circles(dtype: torch.dtype, order: int) -> None:
    paths = torch.tensor(PATHS, dtype=torch.float64).to(dtype)
    harmonics = real_harmonics(great_circles(paths, 65), order)  # [S, T, C]
    signal = torch.randn(len(paths), 65).to(dtype)
    expected = np.einsum("stc,st->ct", harmonics, signal.double().numpy())
    limit = bound(order, dtype) * float(signal.abs().sum(0).max())
    scene = ops.encode(signal, paths, order).double()
    torch.testing.assert_close(scene, torch.from_numpy(expected), rtol=0, atol=limit)
    # Beams of gains 1 along the paths: the sum over channels of their harmonics and the scene's.
    beams = ops.beamform(scene.to(dtype), paths, [1.0] * (order + 1)).double()
    expected = np.einsum("stc,ct->st", harmonics, scene.to(dtype).double().numpy())
    limit = bound(order, dtype) * float(scene.abs().sum(0).max())
    torch.testing.assert_close(beams, torch.from_numpy(expected), rtol=0, atol=limit)


@ORDERS
@DTYPES
@pytest.mark.parametrize("end", [QUARTER_TURN, -QUARTER_TURN, 1.0])
def test_rotation_along_a_meridian_keeps_its_azimuth(
    end: float, dtype: torch.dtype, order: int, rng: np.random.Generator
) -> None:
    """From the horizon to a pole, a plane wave per sample, turned by the rotation matrix of the sample's direction."""
    path = torch.tensor([[-2.5, 0.0], [-2.5, end]], dtype=torch.float64).to(dtype)
    T = 33
    looks = path[0].double() + torch.arange(T)[:, None] / (T - 1) * (path[1] - path[0]).double()
    points = rng.standard_normal((T, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    waves = torch.from_numpy(real_harmonics(points, order).T).to(dtype)
    out = ops.rotate(waves, path[None])[0].double()
    turned = np.einsum("ti,tij->tj", points, cameras(looks))
    expected = torch.from_numpy(real_harmonics(turned, order).T)
    torch.testing.assert_close(out, expected, rtol=0, atol=bound(order, dtype))
