"""What the tests of ambisonics share: directions, waves, choices for hypothesis, closeness by dtype."""

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

from avsa_fast import ops

quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])
leadings = st.sampled_from([(), (1,), (3,), (0,), (2, 2)])
lengths = st.sampled_from([0, 1, 7, 300, 2500])
orders = st.sampled_from([0, 1, 1, 2, 3, 5, 7])
moves = st.sampled_from([(), (), (1,), (2,), (5,)])  # times at which directions are given, of directions that move
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}


def random_directions(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Azimuths and elevations all around, and beyond one turn."""
    return (torch.rand(*shape, 2, dtype=torch.float64) * 2 - 1).mul(torch.tensor([7.0, 1.7])).to(dtype)


def uniform_directions(count: int) -> Tensor:
    """[count, 2] float64, uniform on the sphere."""
    v = torch.nn.functional.normalize(torch.randn(count, 3, dtype=torch.float64), dim=-1)
    return torch.stack([torch.atan2(v[:, 1], v[:, 0]), torch.atan2(v[:, 2], torch.hypot(v[:, 0], v[:, 1]))], dim=-1)


def degrees(*angles: float) -> Tensor:
    return torch.tensor([angles], dtype=torch.float64).deg2rad()


def plane_wave(azimuth: float, elevation: float, order: int = 1) -> Tensor:
    """[C, 1] float64 of a unit impulse; angles in degrees."""
    return ops.encode(torch.ones(1, 1, dtype=torch.float64), degrees(azimuth, elevation), order)


def strided(x: Tensor) -> Tensor:
    """The same values, not contiguous."""
    return torch.stack([x, torch.full_like(x, 9)], dim=-1)[..., 0]


def angles_for(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def assert_close(out: Tensor, expected: Tensor, device: torch.device) -> None:
    """Within a dtype's tolerance of the largest value."""
    assert out.shape == expected.shape
    assert out.device.type == device.type
    tolerance = TOLERANCES[out.dtype] * float(expected.abs().max()) if out.numel() else 0.0
    torch.testing.assert_close(out.cpu().double(), expected, rtol=0, atol=tolerance)
