"""Conversion of frames of any supported projection to ERP, for display."""

from math import pi

import torch
from torch import Tensor

from avsa_fast.data.video import Planes
from avsa_fast.spatial import eac


def as_erp(frames: Tensor | Planes, projection: str) -> Tensor:
    """Converts frames to ERP: the left eye of stereoscopic video, a resampled cubemap.

    Args:
        frames: uint8 [F, H, W, 3], RGB.
        projection: Projection of the frames, as in the index.

    Returns:
        uint8 [F, H', W', 3].
    """
    assert isinstance(frames, Tensor)
    H, W = frames.shape[1:3]
    if projection == "erp_top":
        return frames[:, : H // 2]
    if projection == "erp_left":
        return frames[:, :, : W // 2]
    return frames if projection == "erp" else _from_cubemap(frames)


def _from_cubemap(frames: Tensor) -> Tensor:
    """Resamples equi-angular cubemaps [F, H, W, 3] to ERP [F, H, 2 H, 3] with bilinear interpolation."""
    F, H, W, _ = frames.shape
    elevation = ((0.5 - (torch.arange(H) + 0.5) / H) * pi)[:, None].expand(H, 2 * H).flatten()
    azimuth = ((0.5 - (torch.arange(2 * H) + 0.5) / (2 * H)) * 2 * pi).repeat(H)
    flat = elevation.cos()
    rays = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], dim=-1)
    pixels = frames.flatten(1, 2).float()
    erp = torch.zeros(F, len(rays), 3)
    for row, column, weight in eac.corners(rays, eac.Geometry(H, W, 0.5, 1.0)):
        erp += pixels[:, row.long() * W + column.long()] * weight[:, None]
    return erp.round().to(torch.uint8).reshape(F, H, 2 * H, 3)
