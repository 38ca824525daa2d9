"""Perspective crops of equirectangular frames, sampled, jittered and normalised in one pass."""

from collections.abc import Sequence
from math import isfinite, pi

import torch
from torch import Tensor

from avsa_fast.reference.colour import LUMA, yuv_matrix

from . import _check
from ._ambisonics import check_pose
from ._gnomonic_frames import MOST_PIXELS, Planes, checked_planes
from ._gnomonic_kernels import gnomonic_operation
from ._kernel import DTYPES


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
    """Looks from the centre of 360° frames in K directions: square-pixel perspective crops, the same for all F frames.

    frames: RGB [B, F, H, W, 3], uint8, or float32 or float64 in [0, 1]; W even. Or uint8 planes of 4:2:0 video, chroma
    sited left, with the colour `matrix` "bt601" or "bt709", of bytes 16..235 or of full_range: NV12 (y [B, F, H, W],
    uv [B, F, H/2, W/2, 2]) or I420 (y, u, v); W a multiple of 4.
    directions: [B, K, 2] float32 or float64, (azimuth, elevation) in radians. fov: horizontal field of view in radians,
    within (0, pi): a number, or [B, K] like directions. size: (h, w) of a crop in pixels.
    roll: None or [B, K] like directions, radians, clockwise as seen from behind. flip: None or bool [B, K], mirrors
    left-right. jitter: None or [B, K, 4] like directions: brightness, contrast and saturation factors (0 or more) and
    hue shift (within ±1/2), applied in this order by torchvision's definitions, clamped to [0, 1] after each.
    mean, std: None or 3 numbers; (x - mean) / std comes last.
    antialias: a pixel is the mean of the bilinearly interpolated frame over its footprint on the sphere; False: its
    value at the pixel's centre. Columns wrap around, rows continue beyond the poles.
    source: what the frames hold: "erp" (equirectangular), the half of a stereoscopic one ("erp_top", "erp_bottom",
    "erp_left", "erp_right"), or "eac", an equi-angular cubemap as YouTube and FFmpeg's v360 filter lay it out.
    dtype: float32, float16, bfloat16, float64 (of float64 frames) or uint8 (0..255, rounded; without mean and std).
    Returns [B, K, 3, F, h, w]. Differentiable in float frames, without jitter and from RGB in directions, fov and roll;
    gradients have the same bits from run to run, but those of frames none of their own in the pose.
    Raises TypeError for another dtype; ValueError for shapes that do not fit and, on the CPU, for NaN and for values
    out of range (on CUDA that crop is NaN, 0 in uint8, and gives no gradient).
    The method: docs/gnomonic.md.
    """
    planes = checked_planes(frames, source)
    matrix = _checked_matrix(matrix)
    yuv = [] if planes[1] is None else list(yuv_matrix(matrix, full_range))
    B = planes[0].shape[0]
    _check.dtype("directions", directions, (torch.float32, torch.float64))
    _check.device("directions", directions, "frames", planes[0])
    fits = directions.ndim == 3 and directions.shape[0] == B and directions.shape[2] == 2
    _check.shape("directions", directions, f"[{B}, K, 2] for {B} clips of frames", fits)
    fov = _checked_fov(fov, directions)
    check_pose(roll, flip, directions)
    h, w = _checked_size(size)
    if jitter is not None:
        wanted = [*directions.shape[:2], 4]
        _check.like("jitter", jitter, "directions", directions)
        _check.shape(
            "jitter", jitter, f"{wanted} for directions {list(directions.shape)}", list(jitter.shape) == wanted
        )
    _check_out(planes[0], dtype, mean, std)
    _check_gradients(planes, jitter, directions=directions, fov=fov, roll=roll)
    normal = _three("mean", mean, 0.0), _three("std", std, 1.0)
    return gnomonic_operation(
        *planes, yuv, directions, fov, h, w, roll, flip, jitter, *normal, antialias, source == "eac", dtype
    )


def _checked_matrix(matrix: str) -> str:
    if matrix not in LUMA:
        raise ValueError(f"matrix must be one of {', '.join(LUMA)}, not {matrix!r}")
    return matrix


def _checked_fov(fov: float | Tensor, directions: Tensor) -> Tensor:
    """The field of view of each crop, [B, K]."""
    wanted = list(directions.shape[:2])
    if isinstance(fov, Tensor):
        _check.like("fov", fov, "directions", directions)
        _check.shape("fov", fov, f"{wanted} for directions {list(directions.shape)}", list(fov.shape) == wanted)
        return fov
    if not isinstance(fov, (int, float)):
        raise TypeError(f"fov must be a number or a tensor, not {type(fov).__name__}")
    if not 0 < fov < pi:
        raise ValueError(f"fov must be within (0, pi) radians, not {fov}")
    return directions.new_full(wanted, fov)


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(size, tuple | list) or len(size) != 2 or min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"size must be (h, w) of at least 1 and at most 2^29 pixels, not {size}")
    return size[0], size[1]


def _check_out(frames: Tensor, dtype: torch.dtype, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    if dtype not in DTYPES:
        raise TypeError(f"dtype must be float32, float16, bfloat16, float64 or uint8, not {dtype}")
    if dtype == torch.float64 and frames.dtype != torch.float64:
        raise TypeError(f"dtype float64 needs float64 frames, not {frames.dtype}")
    if dtype == torch.uint8 and not (mean is None and std is None):
        raise ValueError("dtype uint8 holds 0..255 and takes no mean and no std")


def _check_gradients(planes: Planes, jitter: Tensor | None, **poses: Tensor | None) -> None:
    """Raises where a gradient is wanted that this operation does not give."""
    if not torch.is_grad_enabled():
        return
    wanted = [name for name, value in poses.items() if value is not None and value.requires_grad]
    if planes[0].requires_grad:
        wanted.append("frames")
    if jitter is not None and jitter.requires_grad:
        raise ValueError("jitter requires a gradient, which is not supported: pass jitter.detach()")
    if wanted and jitter is not None:
        raise ValueError(f"{wanted[0]} requires a gradient, which is not supported through jitter: pass jitter=None")
    if wanted and planes[1] is not None:
        raise ValueError(f"{wanted[0]} requires a gradient, which is not supported from YUV planes: pass RGB frames")


def _three(name: str, values: Sequence[float] | None, default: float) -> list[float]:
    numbers = [default] * 3 if values is None else [float(value) for value in values]
    if len(numbers) != 3 or not all(map(isfinite, numbers)) or (name == "std" and min(numbers) <= 0):
        raise ValueError(f"{name} must be 3 finite{' positive' if name == 'std' else ''} numbers, not {numbers}")
    return numbers
