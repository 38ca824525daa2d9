"""Projections of 360° video: their views, valid sizes, and conversion to equirectangular (ERP) frames."""

from functools import lru_cache
from math import pi
from typing import get_args

import torch
from torch import Tensor

from avsa_fast.choices import Projection as Projection
from avsa_fast.spatial import eac

# The values of ops.gnomonic's `source` that clips have; stereoscopic ones use the left eye's view.
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


def view_of(frames: Tensor, projection: Projection) -> Tensor:
    """Returns the view that crops are taken from: one eye's half of stereoscopic frames, otherwise the whole.

    Args:
        frames: [..., H, W, 3].
        projection: Projection of the frames.

    Returns:
        [..., h, w, 3], a view of the same memory.
    """
    H, W = frames.shape[-3:-1]
    if projection == "erp_top":
        return frames[..., : H // 2, :, :]
    return frames[..., : W // 2, :] if projection == "erp_left" else frames


def size_problem(projection: Projection, width: int, height: int) -> str:
    """Tells why frames cannot be divided into the views of a projection.

    Args:
        projection: Projection of the frames.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.

    Returns:
        The reason; empty if they can.
    """
    fits = {
        "erp": width % 2 == 0, "erp_top": width % 2 == height % 2 == 0, "erp_left": width % 4 == 0,
        "eac": height % 2 == 0 and min(width, height) >= 16,
    }  # fmt: skip
    return "" if fits[projection] else f"{width}×{height} pixels, which do not divide into views of {projection}"


def to_erp(frames: Tensor, projection: Projection) -> Tensor:
    """Converts frames to monoscopic ERP frames; equi-angular cubemaps are resampled bilinearly.

    Args:
        frames: uint8 [N, H, W, 3].
        projection: Projection of the frames.

    Returns:
        uint8 [N, h, w, 3]; [N, H, 2H, 3] for cubemaps.
    """
    if projection != "eac":
        return view_of(frames, projection)
    rows, columns, weights = _cubemap_texels(frames.shape[1], frames.shape[2])
    erp = torch.zeros(len(frames), *rows.shape[1:], 3)
    for row, column, weight in zip(rows, columns, weights, strict=True):
        erp += frames[:, row, column].float() * weight[..., None]
    return erp.round().to(torch.uint8)


@lru_cache(maxsize=4)
def _cubemap_texels(H: int, W: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and weights [4, H, 2H] of the cubemap texels that each pixel of the ERP frame interpolates."""
    azimuth = (0.5 - (torch.arange(2 * H).double() + 0.5) / (2 * H)) * 2 * pi
    elevation = ((0.5 - (torch.arange(H).double() + 0.5) / H) * pi)[:, None]
    rays = torch.stack(
        [elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin().expand(-1, 2 * H)], dim=-1
    )
    texels = eac.corners(rays.reshape(-1, 3), eac.Geometry(H, W, 0.5, 1.0))
    rows, columns, weights = (torch.stack(part).reshape(4, H, 2 * H) for part in zip(*texels, strict=True))
    return rows.clamp(0, H - 1), columns.clamp(0, W - 1), weights.float()
