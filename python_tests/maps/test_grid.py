"""Grids over the ERP frame follow the conventions, and angles between directions are exact."""

from math import degrees, pi, radians

import pytest
import torch

from avsa_fast.maps.grid import angular_distance, erp_grid, peak_direction, resize_map, value_at


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


def test_resized_map_continues_across_seam_and_poles() -> None:
    """Maps of the coordinates of directions on the unit sphere, from 10° cells to 4° cells."""
    coarse, fine = (vectors(erp_grid(size)).movedim(-1, 0) for size in ((18, 36), (45, 90)))
    found = resize_map(coarse, (45, 90))
    # Bilinear interpolation is off by at most h² / 8 of the second derivatives, of which the sum is 2 at most.
    assert (found - fine).abs().max() < radians(10) ** 2 / 8 * 2
    torch.testing.assert_close(resize_map(coarse, (18, 36)), coarse)


def test_value_of_a_cell() -> None:
    heat = torch.arange(32.0).reshape(4, 8)
    grid = erp_grid((4, 8))
    for row in range(4):
        for column in range(8):
            azimuth, elevation = grid[row, column].tolist()
            for turn in (0, 2 * pi):
                assert value_at(heat, (azimuth + turn, elevation)) == heat[row, column]
    assert value_at(heat, (-pi, -pi / 2)) == heat[3, 0]
