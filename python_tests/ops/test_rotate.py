"""rotate: kernels against the reference, and the definition of rotation to the front."""

import math

import numpy as np
import pytest
import torch
from helpers.ambisonics import (
    angles_for,
    assert_close,
    degrees,
    dtypes,
    leadings,
    lengths,
    moves,
    orders,
    plane_wave,
    quick,
    random_directions,
    strided,
    uniform_directions,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.reference.harmonics import rotation_matrices, spherical_harmonics
from avsa_fast.spatial.harmonics import unit_vectors

pytestmark = pytest.mark.usefixtures("poisoned_memory")


@quick
@given(
    leading=leadings, K=st.integers(0, 5), T=lengths, dtype=dtypes, order=orders, P=moves, rolled=st.booleans(),
    flipped=st.booleans(),
)  # fmt: skip
def test_rotate_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], K: int, T: int, dtype: torch.dtype, order: int,
    P: tuple[int, ...], rolled: bool, flipped: bool,
) -> None:  # fmt: skip
    if P:  # a matrix per sample
        order, T, leading = min(order, 2), min(T, 100), leading[:1]
    signals = torch.randn(*leading, (order + 1) ** 2, T).to(dtype)
    directions = random_directions(*leading, K, *P, dtype=angles_for(dtype))
    roll = random_directions(*leading, K, *P, dtype=angles_for(dtype))[..., 0] if rolled else None
    flip = torch.rand(*leading, K) < 0.5 if flipped else None
    out = ops.rotate(
        strided(signals.to(kernel_device)),
        strided(directions.to(kernel_device)),
        roll=None if roll is None else strided(roll.to(kernel_device)),
        flip=None if flip is None else strided(flip.to(kernel_device)),
    )
    assert out.dtype == dtype
    expected = reference.rotate(
        signals.double(), directions.double(), roll=None if roll is None else roll.double(), flip=flip
    )
    assert_close(out, expected, kernel_device, signals)


@pytest.mark.parametrize("order", [1, 3, 7])
def test_plane_waves_rotate_to_the_front(order: int) -> None:
    directions = uniform_directions(10_000).float().unsqueeze(1)  # [10000, 1, 2]
    waves = ops.encode(torch.ones(10_000, 1, 1), directions, order)
    front = plane_wave(0, 0, order).float().squeeze(-1)
    out = ops.rotate(waves, directions)[:, 0, :, 0]
    torch.testing.assert_close(out, front.expand_as(out), rtol=0, atol=1e-6)


@pytest.mark.parametrize("order", range(1, 8))
def test_rotations_compose_and_preserve_energy_per_order(order: int) -> None:
    signals = torch.randn((order + 1) ** 2, 50, dtype=torch.float64)
    first, second = random_directions(1), random_directions(1)
    roll, mirror = torch.randn(2, 1, dtype=torch.float64), torch.tensor([order % 2 == 0])
    once = ops.rotate(signals, first, roll=roll[0])[0]
    twice = ops.rotate(once, second, roll=roll[1], flip=mirror)[0]
    for n in range(order + 1):
        channels = slice(n * n, (n + 1) ** 2)
        energy = signals[channels].square().sum()
        torch.testing.assert_close(twice[channels].square().sum(), energy, rtol=1e-12, atol=0)
    # The same rotations of the plane wave's direction, as rotations of 3-vectors.
    wave = uniform_directions(1)
    rotated = ops.rotate(ops.rotate(ops.encode(torch.ones(1, 1).double(), wave, order), first)[0], second)[0]
    azimuth, elevation = first[0].tolist(), second[0].tolist()
    matrix = (
        rotation("y", elevation[1])
        @ rotation("z", -elevation[0])
        @ rotation("y", azimuth[1])
        @ rotation("z", -azimuth[0])
    )
    x, y, z = matrix @ unit_vectors(wave)[0].numpy()
    landed = torch.tensor([[math.atan2(y, x), math.atan2(z, math.hypot(x, y))]], dtype=torch.float64)
    torch.testing.assert_close(rotated, ops.encode(torch.ones(1, 1).double(), landed, order), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 7])
def test_flip_negates_the_azimuth(order: int) -> None:
    out = ops.rotate(plane_wave(35, 20, order), degrees(0, 0), flip=torch.tensor([True]))[0]
    torch.testing.assert_close(out, plane_wave(-35, 20, order), rtol=0, atol=1e-12)


def rotation(axis: str, angle: float) -> np.ndarray:
    """Right-handed rotation matrix of (x, y, z) about an axis."""
    c, s = math.cos(angle), math.sin(angle)
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def rotate_with(matrix: np.ndarray, mirror: bool = False) -> Tensor:
    """Matrix [4, 4] on (W, Y, Z, X) of a rotation of (X, Y, Z), with Y then negated."""
    full = np.eye(4)
    order = [3, 1, 2]  # indices of X, Y, Z among the channels
    full[np.ix_(order, order)] = np.diag([1, -1 if mirror else 1, 1]) @ matrix
    return torch.from_numpy(full)


@pytest.mark.parametrize("mirror", [False, True])
def test_order_of_rotations(mirror: bool) -> None:
    unit = torch.eye(4, dtype=torch.float64)
    for azimuth, elevation, roll in (
        torch.rand(20, 3, dtype=torch.float64).mul(2).sub(1) * torch.tensor([3, 1.5, 3])
    ).tolist():
        out = ops.rotate(
            unit, torch.tensor([[azimuth, elevation]], dtype=unit.dtype), roll=torch.tensor([roll], dtype=unit.dtype),
            flip=torch.tensor([mirror]),
        )[0]  # fmt: skip
        matrix = rotation("x", -roll) @ rotation("y", elevation) @ rotation("z", -azimuth)
        torch.testing.assert_close(out, rotate_with(matrix, mirror), rtol=0, atol=1e-12)
        other_order = rotation("z", -azimuth) @ rotation("y", elevation) @ rotation("x", -roll)
        assert (out - rotate_with(other_order, mirror)).abs().max() > 1e-4


def test_reversed_order_of_rotations_misses_the_front() -> None:
    """Rotating by elevation before azimuth misses the front by 15° on average, for elevations within ±30°."""
    misses = []
    for azimuth, elevation in (
        (torch.rand(500, 2) * torch.tensor([2, 1 / 3]) - torch.tensor([1, 1 / 6])).mul(math.pi).tolist()
    ):
        wave = np.array(
            [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
        )
        wrong = rotation("z", -azimuth) @ rotation("y", elevation) @ wave
        misses.append(math.degrees(math.acos(np.clip(wrong[0], -1, 1))))
    assert 12 < np.mean(misses) < 18


def test_roll_rotates_content_counter_clockwise() -> None:
    """Seen from behind, +y is left and +z up: for a camera rolled clockwise, content above moves to its left."""
    up, front = plane_wave(0, 90), degrees(0, 0)
    rolled = ops.rotate(up, front, roll=degrees(90)[0])[0, :, 0]
    torch.testing.assert_close(rolled.tolist(), [1.0, 1.0, 0.0, 0.0], rtol=0, atol=1e-12)


def test_flip_negates_y_after_rotation() -> None:
    signals, directions = torch.randn(4, 50), random_directions(6, dtype=torch.float32)
    roll, flip = torch.randn(6), torch.tensor([True, False] * 3)
    plain = ops.rotate(signals, directions, roll=roll)
    flipped = ops.rotate(signals, directions, roll=roll, flip=flip)
    mirror = torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None]
    assert torch.equal(flipped, torch.where(flip[:, None, None], plain * mirror, plain))


def test_rotation_preserves_energy() -> None:
    signals, directions = torch.randn(3, 4, 500), random_directions(3, 8, dtype=torch.float32)
    out = ops.rotate(signals, directions, roll=torch.randn(3, 8), flip=torch.rand(3, 8) < 0.5)
    assert torch.equal(out[:, :, 0], signals[:, None, 0].expand(3, 8, 500))
    torch.testing.assert_close(
        out[:, :, 1:].square().sum(-2), signals[:, None, 1:].square().sum(-2).expand(3, 8, 500), rtol=1e-5, atol=1e-6
    )


def test_reference_is_exact_for_small_angles() -> None:
    """A rotation about z maps the harmonics at azimuth a to those at 0, at every order."""
    azimuth = 10.0 ** (torch.rand(200, dtype=torch.float64) * 6 - 5.5)
    elevation = (torch.rand(200, dtype=torch.float64) - 0.5) * math.pi
    rotated = rotation_matrices(torch.stack([azimuth, torch.zeros_like(azimuth)], dim=-1), order=7)
    there = spherical_harmonics(torch.stack([azimuth, elevation], dim=-1), 7)
    front = spherical_harmonics(torch.stack([torch.zeros_like(azimuth), elevation], dim=-1), 7)
    torch.testing.assert_close(rotated @ there.unsqueeze(-1), front.unsqueeze(-1), rtol=0, atol=1e-13)
