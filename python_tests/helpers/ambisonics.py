"""Helpers for tests of ambisonics: directions, plane waves, hypothesis strategies, tolerances by dtype."""

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from avsa_fast import ops

quick = settings(max_examples=15)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])
leadings = st.sampled_from([(), (1,), (3,), (0,), (2, 2)])
lengths = st.sampled_from([0, 1, 7, 300, 2500])
orders = st.sampled_from([0, 1, 1, 2, 3, 5, 7])
moves = st.sampled_from([(), (), (1,), (2,), (5,)])  # shape of the times at which moving directions are given
# Roundings of a rotation matrix of order 7, which comes from that of order 6 and so on: 16 an order, of a sum 64 more.
# Then one of the result to half precision.
TOLERANCES = {torch.float64: 2e-14, torch.float32: 1.1e-5, torch.float16: 5e-4, torch.bfloat16: 4e-3}


def random_directions(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random azimuths, also beyond a full rotation, and elevations up to the poles: [*shape, 2]."""
    return (torch.rand(*shape, 2, dtype=torch.float64) * 2 - 1).mul(torch.tensor([7.0, 1.57])).to(dtype)


def uniform_directions(count: int) -> Tensor:
    """Random directions [count, 2] float64, uniform on the sphere."""
    v = torch.nn.functional.normalize(torch.randn(count, 3, dtype=torch.float64), dim=-1)
    return torch.stack([torch.atan2(v[:, 1], v[:, 0]), torch.atan2(v[:, 2], torch.hypot(v[:, 0], v[:, 1]))], dim=-1)


def degrees(*angles: float) -> Tensor:
    return torch.tensor([angles], dtype=torch.float64).deg2rad()


def plane_wave(azimuth: float, elevation: float, order: int = 1) -> Tensor:
    """Encodes a unit impulse as a plane wave [C, 1] float64; angles in degrees."""
    return ops.encode(torch.ones(1, 1, dtype=torch.float64), degrees(azimuth, elevation), order)


def strided(x: Tensor) -> Tensor:
    """Returns the same values in a tensor that is not contiguous."""
    return torch.stack([x, torch.full_like(x, 9)], dim=-1)[..., 0]


def angles_for(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def assert_close(out: Tensor, expected: Tensor, device: torch.device, signals: Tensor, gain: float = 1) -> None:
    """Asserts that the error is within the dtype's tolerance, relative to the largest sum of absolute terms.

    A value is a sum over the signals' channels [..., C, T], times gains up to 1 (harmonics and rotations) or `gain`. It
    may be 0 itself.
    """
    assert out.shape == expected.shape
    assert out.device.type == device.type
    terms = gain * float(signals.double().abs().sum(-2).max()) if out.numel() else 0.0
    tolerance = TOLERANCES[out.dtype] * terms
    torch.testing.assert_close(out.cpu().double(), expected, rtol=0, atol=tolerance)
