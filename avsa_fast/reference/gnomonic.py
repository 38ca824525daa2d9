"""Perspective crops of 360° frames in plain PyTorch: the definition that the kernels are tested against."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from avsa_fast.spatial import eac

from . import footprint
from .colour import jittered, rgb_of_yuv

Frames = Tensor | tuple[Tensor, ...]


def gnomonic(
    frames: Frames,
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
    """Crops perspective views out of 360° frames, in the wider float dtype of frames and directions.

    Args:
        frames: RGB [B, F, H, W, 3], or YUV planes (y, uv) or (y, u, v).
        directions: [B, K, 2] radians.
        fov: Radians, a number or [B, K].
        size: (h, w) of a crop in pixels.
        roll: None or [B, K] radians.
        flip: None or bool [B, K]: mirrors left-right.
        jitter: None or [B, K, 4]: brightness, contrast and saturation factors, hue shift.
        mean: None or 3 numbers.
        std: None or 3 numbers.
        antialias: Whether a pixel is the mean over its footprint, or the value at its centre.
        source: What the frames contain: "erp", half of a stereoscopic frame ("erp_top", ...) or "eac".
        matrix: Colour matrix of YUV planes, "bt601" or "bt709".
        full_range: Whether YUV planes use 0..255.
        dtype: Type of the crops.

    Returns:
        [B, K, 3, F, h, w].
    """
    planes = [half(plane, source) for plane in ((frames,) if isinstance(frames, Tensor) else frames)]
    floating = planes[0].is_floating_point()
    real = torch.promote_types(directions.dtype, planes[0].dtype if floating else directions.dtype)
    pixels = tuple(x.reshape(-1, 3) for x in rays(directions.to(real), fov, size, roll, flip))
    (B, F), K = planes[0].shape[:2], directions.shape[1]
    clip = torch.arange(B, device=directions.device).repeat_interleave(K * size[0] * size[1])  # [N], of each pixel
    sampled_planes = []
    for number, plane in enumerate(planes):
        channels = plane if plane.ndim == 5 else plane[..., None]
        sampled_planes.append(sampled(channels, clip, pixels, source == "eac", antialias, chroma=number > 0))
    crops = torch.cat(sampled_planes, dim=-1).view(B, K, *size, F, 3)
    crops = crops.permute(0, 1, 5, 4, 2, 3) * (1 if floating else 1 / 255)  # [B, K, 3, F, h, w]
    if source == "eac" and not floating and len(planes) == 1:
        crops = crops.clamp(0, 1)  # it extrapolates at the edges of faces
    if len(planes) > 1:
        crops = rgb_of_yuv(crops, matrix, full_range)
    if jitter is not None:
        crops = jittered(crops, jitter.to(real))
    if mean is not None:
        crops = crops - crops.new_tensor(mean).view(3, 1, 1, 1)
    if std is not None:
        crops = crops / crops.new_tensor(std).view(3, 1, 1, 1)
    return (crops.clamp(0, 1) * 255).round().to(dtype) if dtype == torch.uint8 else crops.to(dtype)


def half(plane: Tensor, source: str) -> Tensor:
    """The half of a stereoscopic plane [B, F, H, W, ...] that `source` names, or all of it."""
    H, W = plane.shape[2:4]
    rows = {"erp_top": slice(0, H // 2), "erp_bottom": slice(H // 2, H)}.get(source, slice(None))
    columns = {"erp_left": slice(0, W // 2), "erp_right": slice(W // 2, W)}.get(source, slice(None))
    return plane[:, :, rows, columns]


def sampled(
    plane: Tensor, clip: Tensor, pixels: tuple[Tensor, ...], cubemap: bool, antialias: bool, *, chroma: bool
) -> Tensor:
    """Values of pixels [N] in their clips [N]: plane [B, F, H, W, C] -> [N, F, C]. chroma: of half size, sited left.

    pixels: rays through their centres and their steps of one pixel right and down, each [N, 3].
    """
    H, W = plane.shape[2:4]
    first_column = 0.25 if chroma else 0.5
    if cubemap:
        return sampled_eac(plane, clip, pixels, eac.Geometry(H, W, first_column, 0.5 if chroma else 1.0), antialias)
    sphere = footprint.Geometry(H, W, first_column)
    if not pixels[0].requires_grad:
        return sampled_erp(plane, clip, pixels, sphere, antialias, off_poles=False)
    # Values, with the derivatives of the pose off the poles.
    constant = tuple(x.detach() for x in pixels)
    values = sampled_erp(plane, clip, constant, sphere, antialias, off_poles=False)
    moving = sampled_erp(plane, clip, pixels, sphere, antialias, off_poles=True)
    return values + moving - sampled_erp(plane, clip, constant, sphere, antialias, off_poles=True)


def sampled_eac(
    plane: Tensor, clip: Tensor, pixels: tuple[Tensor, ...], faces: eac.Geometry, antialias: bool
) -> Tensor:
    """`sampled` of a cubemap's plane."""
    F, _, W, C = plane.shape[1:]
    table = plane.flatten(2, 3).transpose(1, 2)  # [B, HW, F, C]
    ray = pixels[0]
    crops = torch.zeros(len(ray), F, C, dtype=ray.dtype, device=ray.device)
    whole = [(slice(None), ray, torch.ones_like(clip))]
    for n, middle, fraction in cell_rays(pixels, faces) if antialias else whole:
        for row, column, weight in eac.corners(middle, faces):
            texels = table[clip[n], row * W + column]  # [M, F, C]
            crops = crops.index_add(0, torch.arange(len(ray))[n], (fraction * weight)[:, None, None] * texels)
    return crops


def sampled_erp(
    plane: Tensor,
    clip: Tensor,
    pixels: tuple[Tensor, ...],
    sphere: footprint.Geometry,
    antialias: bool,
    *,
    off_poles: bool,
) -> Tensor:
    """`sampled` of an equirectangular plane. off_poles: for derivatives, as if pixels at poles were off_pole."""
    F, H, W, C = plane.shape[1:]
    table = plane.flatten(2, 3).transpose(1, 2)  # [B, HW, F, C]
    ray = pixels[0]
    crops = torch.zeros(len(ray), F, C, dtype=ray.dtype, device=ray.device)
    if not antialias:
        ray = footprint.off_pole(ray, sphere) if off_poles else ray
        for row, column, weight in footprint.bilinear(*footprint.project(ray, sphere)):
            crops = crops + weight[:, None, None] * table[clip, place(row, column, H, W)]
        return crops
    total = torch.zeros(len(ray), dtype=ray.dtype, device=ray.device)
    for part in footprint.texels(pixels, sphere, off_poles=off_poles):
        texels = table[clip[part.pixel][:, None, None], place(part.row, part.column, H, W)]  # [M, R, C, F, channels]
        mean = torch.einsum("mrc,mrcfk->mfk", part.weight, texels.to(ray.dtype))
        crops = crops.index_add(0, part.pixel, mean)
        total = total.index_add(0, part.pixel, part.weight.sum((1, 2)))
    return crops / total[:, None, None]


def cell_rays(pixels: tuple[Tensor, ...], faces: eac.Geometry) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Cells of pixels on a cubemap: pixel numbers [M], rays through the cells' middles [M, 3], fractions [M]."""
    ray, right, down = pixels
    for t, fraction_t in footprint.cells(footprint.cubemap_cell_count(ray, down, faces)):
        for s, fraction_s in footprint.cells(footprint.cubemap_cell_count(ray, right, faces)):
            n = (fraction_s * fraction_t).nonzero()[:, 0]
            yield n, ray[n] + s[n, None] * right[n] + t[n, None] * down[n], (fraction_s * fraction_t)[n]


def rays(
    directions: Tensor, fov: float | Tensor, size: tuple[int, int], roll: Tensor | None, flip: Tensor | None
) -> tuple[Tensor, ...]:
    """Rays through the pixels' centres, and their steps of one pixel right and down: three tensors [B, K, h, w, 3]."""
    h, w = size
    azimuth, elevation = directions.unbind(-1)  # [B, K]
    roll = torch.zeros_like(azimuth) if roll is None else roll.to(azimuth)
    fov = fov.to(azimuth) if isinstance(fov, Tensor) else torch.full_like(azimuth, fov)
    ca, sa, ce, se, cr, sr = azimuth.cos(), azimuth.sin(), elevation.cos(), elevation.sin(), roll.cos(), roll.sin()
    # Columns of Rz(azimuth) Ry(-elevation) Rx(roll): the camera's front, left and up in the scene.
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


def place(row: Tensor, column: Tensor, H: int, W: int) -> Tensor:
    """Number of a texel in reading order, from a row within [-H, 2 H) and any column.

    Columns wrap around; a row beyond a pole is the row before it, half a rotation away.
    """
    beyond = (row < 0) | (row >= H)
    real = torch.where(row < 0, -1 - row, torch.where(row >= H, 2 * H - 1 - row, row))
    return real * W + (column + beyond * (W // 2)) % W
