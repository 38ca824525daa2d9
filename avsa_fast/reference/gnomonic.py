"""Perspective crops of equirectangular frames in plain PyTorch: the definition that the kernels are tested against."""

from collections.abc import Iterator, Sequence
from math import pi

import torch
from torch import Tensor

from .colour import jittered

# Antialiasing cuts an edge of a pixel's footprint into so many cells a pixel of the frame and so many more, at most
# MOST_CELLS; in one, which is plain bilinear, where the crop magnifies 6 times. Chosen by PSNR on zone plates.
CELLS_A_PIXEL, CELLS_MORE = 1.5, 0.75
MOST_CELLS = 31


def gnomonic(
    frames: Tensor,
    directions: Tensor,
    fov: float | Tensor,
    size: tuple[int, int],
    *,
    roll: Tensor | None = None,
    flip: Tensor | None = None,
    jitter: Tensor | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    antialias: bool = True,
    source: str = "erp",
    matrix: str = "bt709",
    full_range: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Crops of RGB frames [B, F, H, W, 3] at directions [B, K, 2] -> [B, K, 3, F, h, w].

    Computed in the widest float dtype of frames and directions. source, matrix and full_range as they stand.
    """
    real = torch.promote_types(directions.dtype, frames.dtype if frames.is_floating_point() else directions.dtype)
    scale = 1 if frames.is_floating_point() else 1 / 255
    origin, right, down = (x.reshape(-1, 3) for x in rays(directions.to(real), fov, size, roll, flip))
    (B, F, H, W, _), K = frames.shape, directions.shape[1]
    clip = torch.arange(B, device=frames.device).repeat_interleave(K * size[0] * size[1])  # [N], of each pixel
    if antialias:
        samples = footprint_samples(origin, right, down, H, W)
    else:
        middle = origin.new_zeros(len(origin))
        samples = iter([(middle, middle, middle + 1)])
    crops = torch.zeros(len(origin), F, 3, dtype=real, device=frames.device)
    for s, t, weight in samples:
        n = weight.nonzero()[:, 0]  # the pixels that have this sample
        u, v = project(origin[n] + s[n, None] * right[n] + t[n, None] * down[n], H, W)
        crops.index_add_(0, n, weight[n, None, None] * bilinear(frames, clip[n], u, v))
    crops = crops.view(B, K, *size, F, 3)
    crops = crops.permute(0, 1, 5, 4, 2, 3) * scale  # [B, K, 3, F, h, w]
    if jitter is not None:
        crops = jittered(crops, jitter.to(real))
    if mean is not None:
        crops = crops - crops.new_tensor(mean).view(3, 1, 1, 1)
    if std is not None:
        crops = crops / crops.new_tensor(std).view(3, 1, 1, 1)
    return (crops.clamp(0, 1) * 255).round().to(dtype) if dtype == torch.uint8 else crops.to(dtype)


def rays(
    directions: Tensor, fov: float | Tensor, size: tuple[int, int], roll: Tensor | None, flip: Tensor | None
) -> tuple[Tensor, ...]:
    """Rays through the pixels' centres, and their steps a pixel right and down: three tensors [B, K, h, w, 3]."""
    h, w = size
    azimuth, elevation = directions.unbind(-1)  # [B, K]
    roll = torch.zeros_like(azimuth) if roll is None else roll.to(azimuth)
    fov = fov.to(azimuth) if isinstance(fov, Tensor) else torch.full_like(azimuth, fov)
    ca, sa, ce, se, cr, sr = azimuth.cos(), azimuth.sin(), elevation.cos(), elevation.sin(), roll.cos(), roll.sin()
    # Columns of Rz(azimuth) Ry(-elevation) Rx(roll): where the camera's front, left and up point.
    front = torch.stack([ca * ce, sa * ce, se], dim=-1)
    left = torch.stack([-sa * cr - ca * se * sr, ca * cr - sa * se * sr, ce * sr], dim=-1)
    up = torch.stack([sa * sr - ca * se * cr, -ca * sr - sa * se * cr, ce * cr], dim=-1)
    step = ((fov / 2).tan() / (w / 2))[..., None]  # 1 / focal
    right, down = -step * left, -step * up
    if flip is not None:
        right = torch.where(flip[..., None], -right, right)
    front, right, down = (x[:, :, None, None] for x in (front, right, down))
    j = torch.arange(w).to(azimuth)[:, None] + 0.5 - w / 2  # [w, 1]
    i = torch.arange(h).to(azimuth)[:, None, None] + 0.5 - h / 2  # [h, 1, 1]
    origin = front + j * right + i * down
    return origin, right.expand_as(origin), down.expand_as(origin)


def project(ray: Tensor, H: int, W: int) -> tuple[Tensor, Tensor]:
    """Column and row, as array indices, where rays [..., 3] of any length meet a frame of H x W."""
    x, y, z = ray.unbind(-1)
    u = (0.5 - torch.atan2(y, x) / (2 * pi)) * W - 0.5
    v = (0.5 - torch.atan2(z, torch.hypot(x, y)) / pi) * H - 0.5
    return u, v


def footprint_samples(
    origin: Tensor, right: Tensor, down: Tensor, H: int, W: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Samples that fill each pixel: offsets right and down in pixels, within ±1/2, and weights that sum to 1, each [N].

    origin, right, down: rays through the pixels' centres and their steps a pixel, [N, 3].
    """
    columns, rows = footprint_edge(origin, right, H, W), footprint_edge(origin, down, H, W)
    for t, weight_t in cells(rows):
        for s, weight_s in cells(columns):
            yield s, t, weight_s * weight_t


def footprint_edge(ray: Tensor, step: Tensor, H: int, W: int) -> Tensor:
    """Length of an edge of a pixel's footprint, in pixels of the frame: how far its projection moves along a step."""
    x, y, z = ray.unbind(-1)
    dx, dy, dz = step.unbind(-1)
    across2 = (x * x + y * y).clamp(min=1e-20)
    across = across2.sqrt()
    du = (x * dy - y * dx) / across2 * (W / (2 * pi))
    dv = (across * dz - z * (x * dx + y * dy) / across) / (across2 + z * z) * (H / pi)
    return torch.hypot(du, dv)


def cells(edge: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cuts an edge of a footprint into cells: the middle of each, within ±1/2, and its share of the edge.

    Cells of equal length lie symmetrically around the pixel's centre; the outermost are cut off where the edge ends, so
    that the mean changes continuously with the edge's length.
    """
    count = (edge.detach() * CELLS_A_PIXEL + CELLS_MORE).clamp(max=MOST_CELLS)  # not a whole number
    beyond = int((count / 2 - 0.5).ceil().max()) if count.numel() else 0
    for k in range(-beyond, beyond + 1):
        first, last = (-count / 2).clamp(min=k - 0.5), (count / 2).clamp(max=k + 0.5)
        inside = last > first
        yield torch.where(inside, (first + last) / (2 * count), 0), torch.where(inside, (last - first) / count, 0)


def bilinear(frames: Tensor, clip: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Frames [B, F, H, W, 3] interpolated at columns u and rows v [N] of clips [N] -> [N, F, 3].

    Columns wrap around; a row beyond a pole is the pole's row, half a turn away.
    """
    H, W = frames.shape[2:4]
    texels = frames.flatten(2, 3).transpose(1, 2)  # [B, HW, F, 3]
    left, top = u.detach().floor(), v.detach().floor()
    out = torch.zeros((), dtype=u.dtype, device=u.device)
    for row, weight_v in ((top, 1 - (v - top)), (top + 1, v - top)):
        beyond = (row < 0) | (row >= H)
        y = torch.where(row < 0, -1 - row, torch.where(row >= H, 2 * H - 1 - row, row)).long()
        for column, weight_u in ((left, 1 - (u - left)), (left + 1, u - left)):
            x = (column + beyond * (W // 2)).long() % W
            out = out + (weight_u * weight_v)[:, None, None] * texels[clip, y * W + x]
    return out
