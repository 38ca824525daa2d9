"""Colours of crops: RGB of YUV; jitter by torchvision's definitions, with factors of each crop."""

from typing import NamedTuple

import torch
from torch import Tensor

LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # shares of red and blue in luma


class YuvMatrix(NamedTuple):
    """luma = gain (y - black); red = luma + red_cr (cr - 128/255), and so on; all within [0, 1]."""

    gain: float
    black: float
    red_cr: float
    green_cb: float
    green_cr: float
    blue_cb: float


def yuv_matrix(matrix: str, full_range: bool) -> YuvMatrix:
    """Of ITU-R BT.601 or BT.709, of bytes 16..235 (chroma 16..240) or 0..255."""
    red, blue = LUMA[matrix]
    green = 1 - red - blue
    chroma = 1.0 if full_range else 255 / 224
    red_cr, blue_cb = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    gain, black = (1.0, 0.0) if full_range else (255 / 219, 16 / 255)
    return YuvMatrix(gain, black, red_cr, -blue_cb * blue / green, -red_cr * red / green, blue_cb)


def rgb_of_yuv(crops: Tensor, matrix: str, full_range: bool) -> Tensor:
    """RGB of Y, Cb, Cr [..., 3, F, h, w], within [0, 1]."""
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
