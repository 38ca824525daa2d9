"""encode, rotate and beamform against SciPy's harmonics and plane waves turned by rotation matrices, at every edge."""

import math

import numpy as np
import pytest
import torch
from helpers.oracles import Array, camera, cameras, edge_directions, real_harmonics, vectors
from scipy.special import eval_legendre, roots_legendre, sph_harm_y
from torch import Tensor

from avsa_fast import ops
from avsa_fast.ambisonics import to_n3d

pytestmark = pytest.mark.usefixtures("poisoned_memory")

ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24}
DTYPES = pytest.mark.parametrize("dtype", ROUNDOFF)
ORDERS = pytest.mark.parametrize("order", [1, 3, 7])


def bound(order: int, dtype: torch.dtype, terms: int = 1) -> float:
    """Error of a sum of `terms` products of a harmonic and a matrix element, or of one harmonic, of orders up to this.

    Legendre's recurrence and the rotations' add up to 2n roundings to those of order n - 1, n² in all; twice that for
    the two sides compared. They are float64, stored as `dtype`, as are the products and their sum: a rounding of each
    factor, of the product, and for each term, of the sum of magnitudes. That is at most 1 for an order: the squares of
    its harmonics, and those of a row of a rotation, sum to 1.
    """
    return terms * 2 * (order + 1) ** 2 * ROUNDOFF[torch.float64] + (terms + 3) * ROUNDOFF[dtype]


def waves(order: int, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Unit vectors [count, 3] of plane waves from everywhere, and their scene [C, count] by SciPy: a wave a sample."""
    points = np.concatenate([rng.standard_normal((count - 6, 3)), np.eye(3), -np.eye(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, real_harmonics(points, order).T


def assert_within(out: Tensor, expected: Array, limit: float) -> None:
    torch.testing.assert_close(out.cpu().double(), torch.from_numpy(expected), rtol=0, atol=limit)


@ORDERS
@DTYPES
def test_encode_matches_scipy(kernel_device: torch.device, dtype: torch.dtype, order: int) -> None:
    directions = edge_directions(dtype)
    impulses = torch.ones(len(directions), 1, 1, dtype=dtype)
    scene = ops.encode(impulses.to(kernel_device), directions[:, None].to(kernel_device), order)[..., 0]
    points = vectors(directions)
    assert_within(scene, real_harmonics(points, order), bound(order, dtype))
    n3d = to_n3d(scene.cpu().mT).mT
    # A channel of N3D is √(2n + 1) times that of SN3D, with one more rounding of each.
    limit = math.sqrt(2 * order + 1) * (bound(order, dtype) + 2 * ROUNDOFF[dtype])
    assert_within(n3d, real_harmonics(points, order, n3d=True), limit)


# spaudiopy 0.2.0, SciPy 1.16.3: numpy.sqrt(4 * numpy.pi) * spaudiopy.sph.sh_matrix(7, 0.7, numpy.pi / 2 + 0.4, "real")
SPAUDIOPY_N3D = [
    1.0, 1.02773622, -0.674492354, 1.220171433, 1.618925599, -0.894917639, -0.609395677, -1.062483658, 0.279226987,
    1.410815899, -1.667985665, -0.232424713, 1.154850737, -0.275944342, -0.287688706, -0.825112584, 0.534870071,
    -1.648192766, 0.086262066, 1.062327849, -0.279193006, 1.261240062, 0.014878199, 0.963941924, -1.504430919,
    -0.541056235, -0.690813862, 0.426761376, 1.50765865, -0.609868116, -0.941789816, -0.724060939, 0.260036028,
    -0.249590455, 1.943054565, -1.444412644, -1.288778195, 0.759679638, 0.288107764, 1.142421608, -1.325101856,
    -0.577207203, 1.010572672, -0.685284537, -0.22854923, -0.668142772, -0.810361715, 2.028053285, -0.724936921,
    -1.385015535, 1.943749134, -0.415511808, 0.355283363, -1.391704526, -0.410460467, 1.06118171, 0.157602389,
    1.259879317, -0.070794878, 0.81393534, -0.999306755, -1.109257173, 1.09335766, 0.262936375,
]  # fmt: skip


def test_encode_matches_spaudiopy(kernel_device: torch.device) -> None:
    one, direction = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[0.7, -0.4]], dtype=torch.float64)
    scene = ops.encode(one.to(kernel_device), direction.to(kernel_device), 7).cpu()
    expected = torch.tensor(SPAUDIOPY_N3D, dtype=torch.float64)
    torch.testing.assert_close(to_n3d(scene)[:, 0], expected, rtol=0, atol=5.1e-10)  # printed to 9 decimals


@ORDERS
@DTYPES
def test_rotate_turns_plane_waves(
    kernel_device: torch.device, dtype: torch.dtype, order: int, rng: np.random.Generator
) -> None:
    directions = edge_directions(dtype)
    roll = torch.linspace(-math.pi, math.pi, len(directions), dtype=dtype)
    flip = torch.arange(len(directions)) % 3 == 0
    points, scene = waves(order, 20, rng)
    out = ops.rotate(
        torch.from_numpy(scene).to(kernel_device, dtype), directions.to(kernel_device), roll=roll.to(kernel_device),
        flip=flip.to(kernel_device),
    )  # fmt: skip
    turned = points @ cameras(directions, roll)  # [K, T, 3]: the waves' components along the cameras' axes
    turned[..., 1] *= np.where(flip, -1, 1)[:, None]
    assert_within(out, np.moveaxis(real_harmonics(turned, order), -1, -2), bound(order, dtype, 2 * order + 1))


def gains(pattern: str, order: int) -> Array:
    """Gains a_n of a pattern from its rule, by quadrature with SciPy's nodes."""
    degrees = np.arange(order + 1)
    nodes, weights = roots_legendre(order + 1)
    if pattern == "cardioid":  # ((1 + cos) / 2)^N, projected onto P_n
        polynomials = eval_legendre(degrees[:, None], nodes)
        return (2 * degrees + 1) / 2 * (polynomials @ (weights * ((1 + nodes) / 2) ** order))
    at = 1.0 if pattern == "hypercardioid" else nodes.max()  # "max_re": the largest root of P_(N + 1)
    values = (2 * degrees + 1) * eval_legendre(degrees, at)
    return values / values.sum()


@ORDERS
@DTYPES
def test_beams_have_their_pattern(
    kernel_device: torch.device, dtype: torch.dtype, order: int, rng: np.random.Generator
) -> None:
    directions = edge_directions(dtype)
    points, scene = waves(order, 20, rng)
    cosines = np.clip(vectors(directions) @ points.T, -1, 1)
    signals, looks = torch.from_numpy(scene).to(kernel_device, dtype), directions.to(kernel_device)
    polynomials = eval_legendre(np.arange(order + 1)[:, None, None], cosines)  # [N + 1, K, T]
    chosen = rng.uniform(-1, 1, order + 1)
    patterns = {name: gains(name, order) for name in ("cardioid", "hypercardioid", "max_re")}
    for pattern, weights in [*patterns.items(), (chosen.tolist(), chosen)]:
        expected = np.tensordot(weights, polynomials, 1)
        # Order n scaled by a_n, with its rounding and that of its rule.
        limit = sum(abs(a) * (bound(n, dtype, len(scene)) + 2 * ROUNDOFF[dtype]) for n, a in enumerate(weights))
        assert_within(ops.beamform(signals, looks, pattern), expected, limit)


def harmonic_slopes(directions: Tensor, order: int) -> Array:
    """Derivatives [..., C, 2] of the harmonics in azimuth and elevation, by SciPy."""
    azimuth, elevation = np.moveaxis(directions.double().numpy(), -1, 0)
    beyond = np.abs(elevation) > math.pi / 2  # SciPy's polar angle stays within 0 and π: the meridian half round
    polar = math.pi / 2 - np.where(beyond, np.copysign(math.pi, elevation) - elevation, elevation)
    channels = []
    for n in range(order + 1):
        for m in range(-n, n + 1):
            norm = math.sqrt(4 * math.pi / (2 * n + 1)) * (-1) ** m * (math.sqrt(2) if m else 1)
            _, slope = sph_harm_y(n, abs(m), polar, azimuth + math.pi * beyond, diff_n=1)  # in polar angle, azimuth
            part = norm * (slope.imag if m < 0 else slope.real)
            channels.append(np.stack([part[..., 1], np.where(beyond, 1, -1) * part[..., 0]], axis=-1))
    return np.stack(channels, axis=-2)


@ORDERS
@DTYPES
def test_gradients_in_directions_match_scipy(kernel_device: torch.device, dtype: torch.dtype, order: int) -> None:
    directions = edge_directions(dtype)
    slopes = harmonic_slopes(directions, order)
    scene = torch.randn((order + 1) ** 2, 3, dtype=dtype)
    looks = directions.to(kernel_device).requires_grad_()
    beams = ops.beamform(scene.to(kernel_device), looks, [1.0] * (order + 1))
    (gradient,) = torch.autograd.grad(beams.sum(), looks)
    sums = scene.double().sum(-1).numpy()
    expected = np.einsum("kcp,c->kp", slopes, sums)
    # The slope of a harmonic is at most n, with the roundings of an order more.
    limit = order * bound(order + 1, dtype, len(scene)) * float(scene.abs().sum())
    assert_within(gradient, expected, limit)


def test_camera_is_a_rotation_that_looks_at_its_direction() -> None:
    """The rotation matrix of these tests: its first column is the direction, and roll 90° turns left to up."""
    for azimuth, elevation in edge_directions().tolist():
        axes = camera(azimuth, elevation)
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-15)
        np.testing.assert_allclose(axes[:, 0], vectors([azimuth, elevation]), atol=1e-15)
        np.testing.assert_allclose(camera(azimuth, elevation, math.pi / 2)[:, 1], axes[:, 2], atol=1e-15)
