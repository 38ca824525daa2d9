"""Colours of crops: RGB from YUV; jitter by torchvision's definitions, with factors per crop."""

import torch
from torch import Tensor

from avsa_fast.spatial.colour import yuv_matrix


def rgb_of_yuv(crops: Tensor, matrix: str, full_range: bool) -> Tensor:
    """Converts Y, Cb, Cr [..., 3, F, h, w] to RGB within [0, 1]."""
    m = yuv_matrix(matrix, full_range)
    luma = m.gain * (crops[..., 0, :, :, :] - m.black)
    cb, cr = (crops[..., c, :, :, :] - 128 / 255 for c in (1, 2))
    rgb = (luma + m.red_cr * cr, luma + m.green_cb * cb + m.green_cr * cr, luma + m.blue_cb * cb)
    return torch.stack(rgb, dim=-4).clamp(0, 1)


def jittered(crops: Tensor, jitter: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue of crops [B, K, 3, F, h, w], jitter [B, K, 4], clamped after each."""
    brightness, contrast, saturation, hue = jitter[..., None, None, None, None].unbind(2)  # [B, K, 1, 1, 1, 1]
    crops = (brightness * crops).clamp(0, 1)
    crops = blend(crops, grey(crops).mean((-2, -1), keepdim=True), contrast)
    crops = blend(crops, grey(crops), saturation)
    return shift_hue(crops, hue).clamp(0, 1)


def grey(crops: Tensor) -> Tensor:
    """Luma of crops [..., 3, F, h, w] -> [..., 1, F, h, w]."""
    return (crops * crops.new_tensor([0.2989, 0.587, 0.114]).view(3, 1, 1, 1)).sum(-4, keepdim=True)


def blend(crops: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """Mixes factor times the crops with 1 - factor times the other, clamped to [0, 1]."""
    return (factor * crops + (1 - factor) * other).clamp(0, 1)


def shift_hue(crops: Tensor, hue: Tensor) -> Tensor:
    """Shifts the hue of crops [..., 3, F, h, w] by a fraction of a full rotation."""
    red, green, blue = crops.unbind(-4)
    value, minimum = crops.amax(-4), crops.amin(-4)
    chroma = value - minimum
    safe = torch.where(chroma > 0, chroma, 1)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    shifted = sector + 6 * hue[..., 0, :, :, :]
    channels = []
    for n in (5, 3, 1):
        k = (n + shifted) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=-4)
