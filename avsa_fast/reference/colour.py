"""Colour jitter by torchvision's definitions, with factors of each crop."""

import torch
from torch import Tensor


def jittered(crops: Tensor, jitter: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue of crops [B, K, 3, F, h, w], jitter [B, K, 4], clamped after each."""
    brightness, contrast, saturation, hue = jitter[..., None, None, None, None].unbind(2)  # [B, K, 1, 1, 1, 1]
    crops = (brightness * crops).clamp(0, 1)
    crops = blend(crops, grey(crops).mean((-2, -1), keepdim=True), contrast)
    crops = blend(crops, grey(crops), saturation)
    return turn_hue(crops, hue).clamp(0, 1)


def grey(crops: Tensor) -> Tensor:
    """Luma of crops [..., 3, F, h, w] -> [..., 1, F, h, w]."""
    return (crops * crops.new_tensor([0.2989, 0.587, 0.114]).view(3, 1, 1, 1)).sum(-4, keepdim=True)


def blend(crops: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """factor of the crops and 1 - factor of the other, within [0, 1]."""
    return (factor * crops + (1 - factor) * other).clamp(0, 1)


def turn_hue(crops: Tensor, hue: Tensor) -> Tensor:
    """Turns the hue of crops [..., 3, F, h, w] by a part of a full turn."""
    red, green, blue = crops.unbind(-4)
    value, least = crops.amax(-4), crops.amin(-4)
    chroma = value - least
    safe = torch.where(chroma > 0, chroma, 1)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = sector + 6 * hue[..., 0, :, :, :]
    parts = []
    for n in (5, 3, 1):
        k = (n + turned) % 6
        parts.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(parts, dim=-4)
