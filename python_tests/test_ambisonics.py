"""Conversion of N3D and Furse-Malham to and from ACN, SN3D."""

import math

import pytest
import torch

from avsa_fast import ops
from avsa_fast.ambisonics import from_fuma, from_n3d, to_fuma, to_n3d


def waves(order: int, count: int = 2000) -> torch.Tensor:
    """Plane waves from random directions: [C, count]."""
    v = torch.nn.functional.normalize(torch.randn(count, 3, dtype=torch.float64), dim=-1)
    directions = torch.stack([torch.atan2(v[:, 1], v[:, 0]), torch.asin(v[:, 2])], dim=-1)
    return ops.encode(torch.ones(count, 1, 1, dtype=torch.float64), directions[:, None], order)[..., 0].T


@pytest.mark.parametrize("order", range(8))
def test_n3d_has_unit_energy_in_every_channel(order: int) -> None:
    scene = waves(order, 20_000)
    torch.testing.assert_close(to_n3d(scene).square().mean(-1), torch.ones(len(scene)).double(), rtol=0, atol=0.1)
    torch.testing.assert_close(from_n3d(to_n3d(scene)), scene)


def test_fuma_matches_its_formulas() -> None:
    """Malham's third-order table, W to Q."""
    azimuth, elevation = 0.7, -0.4
    one = torch.ones(1, 1, dtype=torch.float64)
    scene = ops.encode(one, torch.tensor([[azimuth, elevation]], dtype=torch.float64), 3)
    s, c = math.sin, math.cos
    a, e = azimuth, elevation
    expected = [
        2**-0.5, c(a) * c(e), s(a) * c(e), s(e),
        1.5 * s(e) ** 2 - 0.5, c(a) * s(2 * e), s(a) * s(2 * e), c(2 * a) * c(e) ** 2, s(2 * a) * c(e) ** 2,
        s(e) * (5 * s(e) ** 2 - 3) / 2,
        (135 / 256) ** 0.5 * c(a) * c(e) * (5 * s(e) ** 2 - 1), (135 / 256) ** 0.5 * s(a) * c(e) * (5 * s(e) ** 2 - 1),
        (27 / 4) ** 0.5 * c(2 * a) * s(e) * c(e) ** 2, (27 / 4) ** 0.5 * s(2 * a) * s(e) * c(e) ** 2,
        c(3 * a) * c(e) ** 3, s(3 * a) * c(e) ** 3,
    ]  # fmt: skip
    torch.testing.assert_close(to_fuma(scene)[:, 0].tolist(), expected, rtol=0, atol=1e-12)
    for channels in (1, 4, 9, 16):
        torch.testing.assert_close(from_fuma(to_fuma(scene[:channels])), scene[:channels])


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="order 0 to 3, not"):
        from_fuma(torch.zeros(25, 4))
    with pytest.raises(ValueError, match="order 0 to 7, not"):
        to_n3d(torch.zeros(5, 4))
