"""What gnomonic reads: checks of frames and planes, and the half of a stereoscopic frame."""

import torch
from torch import Tensor

from . import _check

FRAME_DTYPES = (torch.uint8, torch.float32, torch.float64)
SOURCES = ("erp", "erp_top", "erp_bottom", "erp_left", "erp_right", "eac")
MOST_PIXELS = 2**29  # of a frame or a crop: kernels index within one by 32 bits
LEAST_EAC = 16  # texels: below, a face would not hold two

Planes = tuple[Tensor, Tensor | None, Tensor | None]


def checked_planes(frames: Tensor | tuple[Tensor, ...], source: str) -> Planes:
    """The planes that `source` names of RGB frames or of YUV planes.

    Raises TypeError or ValueError for another source, for dtypes and shapes that do not fit.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, not {source!r}")
    if isinstance(frames, (tuple, list)):
        return _yuv_planes(frames, source)
    _check.dtype("frames", frames, FRAME_DTYPES)
    _check.shape("frames", frames, "[B, F, H, W, 3]", frames.ndim == 5 and frames.shape[-1] == 3)
    _check_size("frames", frames, source, 1)
    return _half(frames, source), None, None


def _yuv_planes(planes: tuple[Tensor, ...] | list[Tensor], source: str) -> Planes:
    names = {2: ("y", "uv"), 3: ("y", "u", "v")}.get(len(planes))
    if names is None:
        raise ValueError(f"frames must be RGB, or planes (y, uv) or (y, u, v), not a tuple of {len(planes)}")
    for name, plane in zip(names, planes, strict=True):
        _check.dtype(f"frames' {name}", plane, (torch.uint8,))
        _check.device(f"frames' {name}", plane, "y", planes[0])
    y = planes[0]
    _check.shape("frames' y", y, "[B, F, H, W]", y.ndim == 4)
    _check_size("frames' y", y, source, 2)
    B, F, H, W = y.shape
    wanted = [B, F, H // 2, W // 2] + ([2] if len(planes) == 2 else [])
    for name, plane in zip(names[1:], planes[1:], strict=True):
        _check.shape(f"frames' {name}", plane, f"{wanted} for y {list(y.shape)}", list(plane.shape) == wanted)
    halves = [_half(plane, source) for plane in planes]
    return halves[0], halves[1], halves[2] if len(halves) == 3 else None


def _check_size(name: str, plane: Tensor, source: str, chroma: int) -> None:
    """Raises unless each view has even columns, and so has its chroma, which is smaller by `chroma` each way."""
    H, W = plane.shape[2:4]
    rows, columns = chroma, 2 * chroma  # what a view's height and width are multiples of
    least = 2 * chroma
    if source == "eac":
        rows, columns, least = 2 * chroma, chroma, LEAST_EAC * chroma
    elif source in ("erp_top", "erp_bottom"):
        rows *= 2
    elif source in ("erp_left", "erp_right"):
        columns *= 2
    _check.shape(
        name, plane,
        f"[B, F, H, W, ...] for source {source!r} with H a multiple of {rows}, W of {columns}, both at least {least}, "
        "at most 2^29 pixels",
        H % rows == 0 and W % columns == 0 and min(H, W) >= least and H * W <= MOST_PIXELS,
    )  # fmt: skip


def _half(plane: Tensor, source: str) -> Tensor:
    H, W = plane.shape[2:4]
    if source in ("erp_top", "erp_bottom"):
        return plane.narrow(2, H // 2 if source == "erp_bottom" else 0, H // 2)
    if source in ("erp_left", "erp_right"):
        return plane.narrow(3, W // 2 if source == "erp_right" else 0, W // 2)
    return plane
