"""Jitter of the aspect ratio: crops that show a rectangle, scaled to a square."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def stretched(crops: Tensor, aspect: Tensor) -> Tensor:
    """Scales the largest rectangle of an aspect ratio in the middle of each crop to the whole crop, bilinearly.

    Args:
        crops: float32 [B, K, 3, F, h, w], with h = w.
        aspect: float32 [B, K], ratio of width to height.

    Returns:
        float32 [B, K, 3, F, h, w].
    """
    B, K, _, F, h, w = crops.shape
    width, height = aspect.clamp(max=1).flatten(), (1 / aspect).clamp(max=1).flatten()
    zero = torch.zeros_like(width)
    transforms = torch.stack([width, zero, zero, zero, height, zero], dim=1).view(-1, 2, 3)
    planes = crops.view(B * K, 3 * F, h, w)
    grid = affine_grid(transforms, list(planes.shape), align_corners=False)
    return grid_sample(planes, grid, padding_mode="border", align_corners=False).view_as(crops)
