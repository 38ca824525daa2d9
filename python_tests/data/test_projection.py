"""Frames of all projections are converted to the same ERP frame."""

from math import pi

import pytest
import torch

from avsa_fast import ops
from avsa_fast.data.projection import to_erp
from avsa_fast.spatial import eac


def colours(directions: torch.Tensor) -> torch.Tensor:
    """Colours [..., 3] uint8 of a smooth scene in the directions of unit vectors [..., 3]."""
    return (127.5 + 120 * torch.sin(2 * directions + torch.tensor([0.0, 1.0, 2.0]))).round().to(torch.uint8)


def erp_rays(H: int) -> torch.Tensor:
    elevation = ((0.5 - (torch.arange(H) + 0.5) / H) * pi)[:, None].expand(H, 2 * H)
    azimuth = ((0.5 - (torch.arange(2 * H) + 0.5) / (2 * H)) * 2 * pi).expand(H, 2 * H)
    flat = elevation.cos()
    return torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], dim=-1)


def test_stereoscopic_frames_give_the_left_eye() -> None:
    left, right = colours(erp_rays(32))[None], torch.zeros(1, 32, 64, 3, dtype=torch.uint8)
    assert torch.equal(to_erp(left, "erp"), left)
    assert torch.equal(to_erp(torch.cat([left, right], dim=1), "erp_top"), left)
    assert torch.equal(to_erp(torch.cat([left, right], dim=2), "erp_left"), left)


@pytest.mark.parametrize("H", [128])
def test_a_cubemap_shows_the_same_scene(H: int) -> None:
    """A cubemap is filled with the scene's colours by direction; its ERP frame shows the same colours."""
    W = H * 3 // 2
    rays = erp_rays(4 * H).flatten(0, 1)
    cubemap = torch.zeros(H * W, 3)
    weights = torch.zeros(H * W, 1)
    for row, column, weight in eac.corners(rays, eac.Geometry(H, W, 0.5, 1.0)):
        place = row.long() * W + column.long()
        cubemap.index_add_(0, place, weight[:, None] * colours(rays).float())
        weights.index_add_(0, place, weight[:, None])
    frames = (cubemap / weights.clamp_min(1e-6)).round().to(torch.uint8).reshape(1, H, W, 3)
    erp = to_erp(frames, "eac")
    assert erp.shape == (1, H, 2 * H, 3)
    assert (erp[0].float() - colours(erp_rays(H)).float()).abs().mean() < 3
    # The kernel that reads cubemaps gives the same crops from both.
    direction = torch.tensor([[[2.0, 0.4]]])
    crops = [ops.gnomonic(f[None], direction, 1.2, (40, 40), source=s) for f, s in ((frames, "eac"), (erp, "erp"))]
    assert (crops[0] - crops[1]).abs().mean() < 0.02
