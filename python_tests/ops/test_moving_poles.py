"""Directions that move through the poles, and float32's own pi/2, which lies 4e-8 beyond a pole."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from helpers.ambisonics import uniform_directions
from torch import Tensor

from avsa_fast import ops, reference

HALF_PI = float(torch.tensor(math.pi / 2))  # of float32
MODULES = pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
# Rounding of angles, gains and sums of up to 9 channels of magnitude 4: 40 roundings of 4, for features of their log.
TOLERANCES = {torch.float32: 1e-5, torch.float64: 2e-14}
T = 600


def calls(module: ModuleType) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Operations by name, on a scene [9, T] and directions [K, 2] or [K, P, 2]."""

    def features(**options: Any) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda scene, directions: module.spatial_features(scene, directions, n_fft=64, n_mels=5, **options)

    return {
        "encode": lambda scene, directions: module.encode(scene[: len(directions)], directions, 3),
        "rotate": module.rotate,
        "beamform": lambda scene, directions: module.beamform(scene, directions, "max_re"),
        "features-iv": features(),
        "features-icf": features(view="stereo", spatial="icf"),
        "features-beam": features(view="beamform"),
    }


NAMES = pytest.mark.parametrize("name", calls(ops))


@MODULES
@NAMES
@DTYPES
@pytest.mark.parametrize("P", [1, 2, 7, T])
def test_path_of_one_direction_equals_the_static_call(
    module: ModuleType, name: str, dtype: torch.dtype, P: int
) -> None:
    poles = [[0.7, HALF_PI], [-2.0, -HALF_PI], [3.0, math.pi / 2], [0.7, 1.57], [-1.0, 1.5781]]
    still = torch.cat([torch.tensor(poles, dtype=dtype), uniform_directions(2).to(dtype)])
    scene = torch.randn(9, T, dtype=dtype)
    operation = calls(module)[name]
    moving, static = operation(scene, still[:, None].expand(-1, P, 2)), operation(scene, still)
    # Phases and levels of bins that cancel amplify rounding, by up to 1e3 here.
    tolerance = TOLERANCES[dtype] * (1e3 if name.startswith("features") else 1)
    torch.testing.assert_close(moving, static, rtol=0, atol=tolerance)


@MODULES
@DTYPES
@pytest.mark.parametrize("pole", [HALF_PI, -HALF_PI, math.pi / 2, -math.pi / 2])
def test_path_to_a_pole_arrives_as_the_static_call(module: ModuleType, dtype: torch.dtype, pole: float) -> None:
    """Up a meridian, and across meridians: the last sample is that of the static call, and none before it flips."""
    scene = torch.ones(4, 1, dtype=dtype) * torch.tensor([[1.0], [0.3], [-0.5], [0.8]], dtype=dtype)
    for start in ([0.7, 0.0], [2.0, 0.3]):
        path = torch.tensor([[start, [0.7, pole]]], dtype=dtype)
        out = module.rotate(scene.expand(4, 51), path)
        static = module.rotate(scene, path[:, 1])
        torch.testing.assert_close(out[..., -1:], static, rtol=0, atol=TOLERANCES[dtype])
        steps = out.diff(dim=-1).abs().amax()
        if start[0] == 0.7:  # 50 steps along the meridian: a step of pi / 100 times the length of (X, Y, Z), .99
            assert steps < 0.032


@MODULES
def test_plane_wave_on_a_path_over_the_pole_is_the_rotated_vector(module: ModuleType) -> None:
    """Against a rotation matrix: from 60° before the zenith to 60° behind it about the axis across the meridian."""
    azimuth, tilt = 0.7, math.pi / 3
    path = torch.tensor([[[azimuth, math.pi / 2 - tilt], [azimuth + math.pi, math.pi / 2 - tilt]]], dtype=torch.float64)
    angle = math.pi / 2 - tilt + 2 * tilt * torch.linspace(0, 1, 61, dtype=torch.float64)
    across = torch.stack([angle.cos() * math.cos(azimuth), angle.cos() * math.sin(azimuth), angle.sin()])  # x, y, z
    wave = module.encode(torch.ones(1, 61, dtype=torch.float64), path)
    # The path's cosines and sines: 10 roundings.
    torch.testing.assert_close(wave, torch.cat([torch.ones(1, 61), across[[1, 2, 0]]]), rtol=0, atol=4e-15)


@MODULES
@NAMES
@pytest.mark.parametrize("elevation", [HALF_PI, math.pi / 2, -math.pi / 2, 0.4])
def test_gradients_of_a_path_of_one_direction_add_up_to_the_static_ones(
    module: ModuleType, name: str, elevation: float
) -> None:
    scene = torch.randn(9, T, dtype=torch.float64)
    still = torch.tensor([[0.7, elevation]], dtype=torch.float64, requires_grad=True)
    path = still.detach()[:, None].repeat(1, 4, 1).requires_grad_()
    operation = calls(module)[name]
    static = operation(scene, still)
    weight = torch.randn_like(static)
    (want,) = torch.autograd.grad(static, still, weight)
    (got,) = torch.autograd.grad(operation(scene, path), path, weight)
    torch.testing.assert_close(got.sum(1), want, rtol=1e-9, atol=1e-9 * weight.numel() ** 0.5)


@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-6, 1e-2])
def test_gradients_of_gains_stay_bounded_near_a_pole(distance: float) -> None:
    """Harmonics are smooth functions of the unit vector: finite differences agree at any distance from the pole."""
    path = torch.tensor(
        [[[2.0, 0.3], [0.7, math.pi / 2 - distance], [-1.0, 0.2]]], dtype=torch.float64
    ).requires_grad_()
    signal = torch.randn(1, 9, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda path: ops.encode(signal, path, 3), path)
    assert torch.autograd.gradgradcheck(lambda path: ops.encode(signal, path, 3), path, atol=1e-4, fast_mode=True)
    scene = torch.randn(9, 9, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda path: ops.beamform(scene, path), path)
