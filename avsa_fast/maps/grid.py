"""Grids of directions over the ERP frame."""

from math import degrees, pi

import torch
from torch import Tensor


def erp_grid(size: tuple[int, int]) -> Tensor:
    """Computes the directions of the pixel centres of an ERP frame.

    Args:
        size: H and W of the frame, in pixels.

    Returns:
        float32 [H, W, 2], azimuth and elevation in radians.
    """
    height, width = size
    azimuth = (0.5 - (torch.arange(width) + 0.5) / width) * 2 * pi
    elevation = (0.5 - (torch.arange(height) + 0.5) / height) * pi
    return torch.stack(torch.meshgrid(elevation, azimuth, indexing="ij")[::-1], dim=-1)


def equal_area_grid(size: tuple[int, int]) -> Tensor:
    """Computes directions that stand for equal areas of the sphere: rows that are equally high in sin(elevation).

    After Lambert's cylindrical equal-area projection.

    Args:
        size: Number of rows, and of directions per row.

    Returns:
        float32 [H, W, 2], azimuth and elevation in radians.
    """
    height, width = size
    grid = erp_grid(size)
    grid[..., 1] = torch.asin(1 - (torch.arange(height) + 0.5) * (2 / height))[:, None].expand(height, width)
    return grid


def peak_direction(heat: Tensor) -> tuple[float, float]:
    """Finds the direction of the maximum of a map over the ERP frame.

    Args:
        heat: [H, W].

    Returns:
        Azimuth and elevation in radians.
    """
    height, width = heat.shape
    azimuth, elevation = erp_grid((height, width)).flatten(0, 1)[int(heat.argmax())].tolist()
    return azimuth, elevation


def angular_distance(a: Tensor, b: Tensor) -> Tensor:
    """Computes angles between directions with the haversine formula, which is accurate for small angles.

    Args:
        a: [..., 2], azimuth and elevation in radians.
        b: [..., 2], likewise; leading dimensions are broadcast.

    Returns:
        [...], degrees.
    """
    half = torch.sin((a - b) / 2).square()
    chord = half[..., 1] + torch.cos(a[..., 1]) * torch.cos(b[..., 1]) * half[..., 0]
    return 2 * torch.asin(chord.clamp(0, 1).sqrt()) * degrees(1)
