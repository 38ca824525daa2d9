"""Perspective crops of 360° frames, sampled, jittered and normalised in one pass."""

from collections.abc import Sequence
from math import pi

import numpy as np
import torch
from torch import Tensor

from avsa_fast.spatial.colour import LUMA, yuv_matrix

from . import _checks, _gnomonic_op

FRAME_DTYPES = (torch.uint8, torch.float32, torch.float64)
OUT_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8)
SOURCES = ("erp", "erp_top", "erp_bottom", "erp_left", "erp_right", "eac")
MAX_PIXELS = 2**29  # of a frame or a crop: kernels use 32-bit indices within one
MIN_EAC_SIZE = 16  # texels: smaller faces have less than two

Planes = tuple[Tensor, Tensor | None, Tensor | None]


def gnomonic(
    frames: Tensor | tuple[Tensor, ...],
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
    """Crops perspective views with square pixels out of 360° frames, in K directions, the same for all F frames.

    Differentiable in float frames without jitter, and from RGB frames in directions, fov and roll. Gradients have the
    same bits from run to run. The gradient of frames is differentiable again; those of directions, fov and roll are
    not. The method: docs/gnomonic.md.

    Args:
        frames: RGB [B, F, H, W, 3], uint8, or float32 or float64 in [0, 1]; W even. Or uint8 planes of 4:2:0 video with
            chroma sited left: NV12 (y [B, F, H, W], uv [B, F, H/2, W/2, 2]) or I420 (y, u, v); W a multiple of 4.
        directions: [B, K, 2], float32 or float64: azimuth and elevation in radians.
        fov: Horizontal field of view in radians, within (0, pi): a number, or a tensor [] or [B, K] of the directions'
            dtype.
        size: (h, w) of a crop in pixels, integers.
        roll: None, or radians [B, K] of the directions' dtype; clockwise as seen from behind.
        flip: None, or bool [B, K]: mirrors the crop left-right.
        jitter: None, or [B, K, 4] of the directions' dtype: brightness, contrast and saturation factors (0 or more) and
            hue shift (within ±0.5), applied in this order by torchvision's definitions, clamped to [0, 1] after each.
        mean: None, or 3 numbers subtracted from the RGB values in [0, 1].
        std: None, or 3 positive numbers that then divide them.
        antialias: A pixel is the mean of the bilinearly interpolated frame over its footprint on the sphere. False: its
            value at the pixel's centre. Columns wrap around, rows continue beyond the poles.
        source: What the frames contain: "erp" (equirectangular), the half of a stereoscopic frame ("erp_top",
            "erp_bottom", "erp_left", "erp_right"), or "eac", an equi-angular cubemap in the layout of YouTube and of
            FFmpeg's v360 filter.
        matrix: Colour matrix of YUV planes, "bt601" or "bt709".
        full_range: Whether YUV planes use 0..255, not 16..235.
        dtype: float32, float16, bfloat16, float64 (from float64 frames) or uint8 (0..255, rounded; no mean and std).

    Returns:
        [B, K, 3, F, h, w] of `dtype`.

    Raises:
        TypeError: An argument has an unsupported type or dtype.
        ValueError: The shapes do not match, or a number is out of range. On the CPU also for NaN and values of tensors
            out of range; on CUDA those crops are NaN (0 in uint8) and have no gradient.
    """
    planes = _checked_planes(frames, source)
    _checks.choice("matrix", matrix, LUMA)
    full_range = _checks.flag("full_range", full_range)
    yuv = [] if planes[1] is None else list(yuv_matrix(matrix, full_range))
    B = planes[0].shape[0]
    _checks.dtype("directions", directions, (torch.float32, torch.float64))
    _checks.device("directions", directions, "frames", planes[0])
    fits = directions.ndim == 3 and directions.shape[0] == B and directions.shape[2] == 2
    if not fits:  # formatted only here: torch.compile compiles again for each size that it formats
        raise ValueError(f"directions must be [{B}, K, 2] for {B} clips of frames, not {list(directions.shape)}")
    fov = _checked_fov(fov, directions)
    _checks.pose(roll, flip, directions)
    h, w = _checked_size(size)
    if jitter is not None:
        expected = [*directions.shape[:2], 4]
        _checks.like("jitter", jitter, "directions", directions)
        _checks.shape(
            "jitter", jitter, f"{expected} for directions {list(directions.shape)}", list(jitter.shape) == expected
        )
    _check_out(planes[0], dtype, mean, std)
    _check_gradients(planes, jitter, directions=directions, fov=fov, roll=roll)
    return _gnomonic_op.gnomonic(
        frames=planes[0],
        cb=planes[1],
        cr=planes[2],
        yuv=yuv,
        directions=directions,
        fov=fov,
        h=h,
        w=w,
        roll=roll,
        flip=flip,
        jitter=jitter,
        mean=[0.0] * 3 if mean is None else _checks.numbers("mean", mean, 3),
        std=[1.0] * 3 if std is None else _checks.numbers("std", std, 3, positive=True),
        antialias=_checks.flag("antialias", antialias),
        eac=source == "eac",
        dtype=dtype,
    )


def _checked_fov(fov: float | Tensor, directions: Tensor) -> Tensor:
    """The field of view of each crop, [B, K]."""
    expected = list(directions.shape[:2])
    if isinstance(fov, Tensor):
        _checks.like("fov", fov, "directions", directions)
        fits = fov.ndim == 0 or list(fov.shape) == expected
        _checks.shape("fov", fov, f"[] or {expected} for directions {list(directions.shape)}", fits)
        return fov.expand(expected)
    fov = _checks.number("fov", fov, expected="a number or a tensor")
    if not 0 < fov < pi:
        raise ValueError(f"fov must be within (0, pi) radians, not {fov}")
    return directions.new_full(expected, fov)


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    if isinstance(size, np.ndarray):
        size = size.tolist()
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        raise TypeError(f"size must be two integers (h, w), not {size!r}")
    h, w = (_checks.integer("size's h and w", side, 1) for side in size)
    if h * w > MAX_PIXELS:
        raise ValueError(f"size must be (h, w) of at most 2^29 pixels, not {(h, w)}")
    return h, w


def _check_out(frames: Tensor, dtype: torch.dtype, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    if dtype not in OUT_DTYPES:
        raise TypeError(f"dtype must be float32, float16, bfloat16, float64 or uint8, not {dtype}")
    if dtype == torch.float64 and frames.dtype != torch.float64:
        raise TypeError(f"dtype float64 needs float64 frames, not {frames.dtype}")
    if dtype == torch.uint8 and not (mean is None and std is None):
        raise ValueError("dtype uint8 holds 0..255 and takes no mean and no std")


def _check_gradients(planes: Planes, jitter: Tensor | None, **poses: Tensor | None) -> None:
    """Raises ValueError for a gradient that this operation does not have."""
    if not torch.is_grad_enabled():
        return
    names = [name for name, value in poses.items() if value is not None and value.requires_grad]
    if planes[0].requires_grad:
        names.append("frames")
    if jitter is not None and jitter.requires_grad:
        raise ValueError("jitter requires a gradient, which is not supported: pass jitter.detach()")
    if names and jitter is not None:
        raise ValueError(f"{names[0]} requires a gradient, which is not supported through jitter: pass jitter=None")
    if names and planes[1] is not None:
        raise ValueError(f"{names[0]} requires a gradient, which is not supported from YUV planes: pass RGB frames")


def _checked_planes(frames: Tensor | tuple[Tensor, ...], source: str) -> Planes:
    """Checks RGB frames or YUV planes; returns the part that `source` names, as one to three planes."""
    _checks.choice("source", source, SOURCES)
    if isinstance(frames, (tuple, list)):
        return _yuv_planes(frames, source)
    _checks.dtype("frames", frames, FRAME_DTYPES)
    _checks.shape("frames", frames, "[B, F, H, W, 3]", frames.ndim == 5 and frames.shape[-1] == 3)
    _check_size("frames", frames, source, 1)
    return _half(frames, source), None, None


def _yuv_planes(planes: tuple[Tensor, ...] | list[Tensor], source: str) -> Planes:
    names = {2: ("y", "uv"), 3: ("y", "u", "v")}.get(len(planes))
    if names is None:
        raise ValueError(f"frames must be RGB, or planes (y, uv) or (y, u, v), not a tuple of {len(planes)}")
    for name, plane in zip(names, planes, strict=True):
        _checks.dtype(f"frames' {name}", plane, (torch.uint8,))
        _checks.device(f"frames' {name}", plane, "y", planes[0])
    y = planes[0]
    _checks.shape("frames' y", y, "[B, F, H, W]", y.ndim == 4)
    _check_size("frames' y", y, source, 2)
    B, F, H, W = y.shape
    expected = [B, F, H // 2, W // 2] + ([2] if len(planes) == 2 else [])
    for name, plane in zip(names[1:], planes[1:], strict=True):
        _checks.shape(f"frames' {name}", plane, f"{expected} for y {list(y.shape)}", list(plane.shape) == expected)
    halves = [_half(plane, source) for plane in planes]
    return halves[0], halves[1], halves[2] if len(halves) == 3 else None


def _check_size(name: str, plane: Tensor, source: str, chroma: int) -> None:
    """Checks that a view's width is even, and that of its chroma planes, which are smaller by the factor `chroma`."""
    H, W = plane.shape[2:4]
    rows, columns = chroma, 2 * chroma  # divisors of a view's height and width
    minimum = 2 * chroma
    if source == "eac":
        rows, columns, minimum = 2 * chroma, chroma, MIN_EAC_SIZE * chroma
    elif source in ("erp_top", "erp_bottom"):
        rows *= 2
    elif source in ("erp_left", "erp_right"):
        columns *= 2
    _checks.shape(
        name, plane,
        f"[B, F, H, W, ...] for source {source!r} with H a multiple of {rows}, W of {columns}, both at least "
        f"{minimum}, at most 2^29 pixels",
        H % rows == 0 and W % columns == 0 and min(H, W) >= minimum and H * W <= MAX_PIXELS,
    )  # fmt: skip


def _half(plane: Tensor, source: str) -> Tensor:
    H, W = plane.shape[2:4]
    if source in ("erp_top", "erp_bottom"):
        return plane.narrow(2, H // 2 if source == "erp_bottom" else 0, H // 2)
    if source in ("erp_left", "erp_right"):
        return plane.narrow(3, W // 2 if source == "erp_right" else 0, W // 2)
    return plane
