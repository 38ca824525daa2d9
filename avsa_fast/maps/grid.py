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


def resize_map(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """Resamples maps over the ERP frame bilinearly, across the seam and the poles too.

    Args:
        heat: float [..., H, W], W even.
        size: H and W of the result.

    Returns:
        [..., *size], of the same dtype.
    """
    height, width = heat.shape[-2:]
    over, under = (heat[..., row, :].roll(width // 2, -1) for row in (slice(0, 1), slice(height - 1, height)))
    heat = torch.cat([over, heat, under], dim=-2)
    heat = torch.cat([heat[..., -1:], heat, heat[..., :1]], dim=-1)
    for dim, (before, after) in ((-2, (height, size[0])), (-1, (width, size[1]))):
        place = (torch.arange(after, dtype=heat.dtype) + 0.5) * before / after + 0.5
        first = place.long()
        share = place - first
        low, high = heat.index_select(dim, first), heat.index_select(dim, first + 1)
        heat = torch.lerp(low, high, share[:, None] if dim == -2 else share)
    return heat


def value_at(heat: Tensor, direction: tuple[float, float]) -> float:
    """Returns the value of the cell of a map over the ERP frame that a direction is in.

    Args:
        heat: [H, W].
        direction: Azimuth and elevation in radians.
    """
    height, width = heat.shape
    column = int((0.5 - direction[0] / (2 * pi)) * width // 1) % width
    row = min(max(int((0.5 - direction[1] / pi) * height), 0), height - 1)
    return float(heat[row, column])


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
