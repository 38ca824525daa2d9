"""Grids over the ERP frame follow the conventions, and angles between directions are exact."""

from math import degrees, pi

import pytest
import torch

from avsa_fast.maps.grid import angular_distance, erp_grid, peak_direction


def cell(direction: torch.Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the ERP cell that contains a direction, by the formula of the conventions."""
    azimuth, elevation = direction.tolist()
    return int((0.5 - elevation / pi) * size[0]), int((0.5 - azimuth / (2 * pi)) * size[1]) % size[1]


def test_erp_grid_follows_the_conventions() -> None:
    grid = erp_grid((4, 8))
    assert grid.shape == (4, 8, 2)
    assert grid[0, 0].tolist() == pytest.approx([pi * 7 / 8, pi * 3 / 8])
    for row in range(4):
        for column in range(8):
            assert cell(grid[row, column], (4, 8)) == (row, column)


def test_peak_direction() -> None:
    heat = torch.zeros(4, 8)
    heat[1, 6] = 1
    assert peak_direction(heat) == pytest.approx(erp_grid((4, 8))[1, 6].tolist())


def vectors(directions: torch.Tensor) -> torch.Tensor:
    azimuth, elevation = directions.double().unbind(-1)
    level = elevation.cos()
    return torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()], dim=-1)


def test_angular_distance_is_the_angle_between_vectors() -> None:
    a, b = ((torch.rand(500, 2) - 0.5) * torch.tensor([4 * pi, pi]) for _ in range(2))
    angle = torch.atan2(torch.linalg.cross(vectors(a), vectors(b)).norm(dim=-1), (vectors(a) * vectors(b)).sum(-1))
    torch.testing.assert_close(angular_distance(a, b).double(), angle * degrees(1), atol=0.05, rtol=0)
    near = torch.tensor([0.7, 0.2])
    assert angular_distance(near, near + torch.tensor([0.0, 1e-4])).item() == pytest.approx(degrees(1e-4), rel=0.01)
