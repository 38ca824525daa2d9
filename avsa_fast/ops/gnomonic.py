"""Perspective crops of equirectangular frames, sampled, jittered and normalised in one pass."""

from collections.abc import Sequence
from math import isfinite, pi
from typing import Any

import torch
from torch import Tensor

from . import _check
from ._ambisonics import check_pose
from ._kernel import DTYPES, address, run
from ._library import register

TILE = 128  # kTile of csrc/gnomonic/gnomonic.h
MOST_PIXELS = 2**29  # of a frame or a crop: kernels index within one by 32 bits


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
    """Looks from the centre of 360° frames in K directions: square-pixel perspective crops, the same for all F frames.

    frames: RGB [B, F, H, W, 3], uint8, or float32 or float64 in [0, 1]; W even. directions: [B, K, 2] float32 or
    float64, (azimuth, elevation) in radians. fov: horizontal field of view in radians, within (0, pi): a number, or
    [B, K] like directions. size: (h, w) of a crop in pixels.
    roll: None or [B, K] like directions, radians, clockwise as seen from behind. flip: None or bool [B, K], mirrors
    left-right. jitter: None or [B, K, 4] like directions: brightness, contrast and saturation factors (0 or more) and
    hue shift (within ±1/2), applied in this order by torchvision's definitions, clamped to [0, 1] after each.
    mean, std: None or 3 numbers; (x - mean) / std comes last.
    antialias: a pixel is the mean of the bilinearly interpolated frame over its footprint on the sphere (columns wrap
    around, rows continue beyond the poles); False: its value at the pixel's centre. source, matrix, full_range: as
    they stand; other sources and YUV planes are not supported yet.
    dtype: float32, float16, bfloat16, float64 (of float64 frames) or uint8 (0..255, rounded; without mean and std).
    Returns [B, K, 3, F, h, w]. Differentiable in float frames, without jitter; the gradient, too, has the same bits
    from run to run.
    Raises TypeError for another dtype; ValueError for shapes that do not fit and, on the CPU, for NaN and for values
    out of range (on CUDA that crop is NaN, 0 in uint8, and gives frames no gradient).
    """
    _check_source(frames, source, matrix, full_range)
    _check.dtype("frames", frames, (torch.uint8, torch.float32, torch.float64))
    _check.shape("frames", frames, "[B, F, H, W, 3]", frames.ndim == 5 and frames.shape[-1] == 3)
    B, _, H, W, _ = frames.shape
    fits = H >= 2 and W >= 2 and W % 2 == 0 and H * W <= MOST_PIXELS
    _check.shape("frames", frames, "[B, F, H, W, 3] with H >= 2, W >= 2 and even, at most 2^29 pixels", fits)
    _check.dtype("directions", directions, (torch.float32, torch.float64))
    _check.device("directions", directions, "frames", frames)
    fits = directions.ndim == 3 and directions.shape[0] == B and directions.shape[2] == 2
    _check.shape("directions", directions, f"[{B}, K, 2] for frames {list(frames.shape)}", fits)
    fov = _checked_fov(fov, directions)
    check_pose(roll, flip, directions)
    h, w = _checked_size(size)
    if jitter is not None:
        wanted = [*directions.shape[:2], 4]
        _check.like("jitter", jitter, "directions", directions)
        _check.shape(
            "jitter", jitter, f"{wanted} for directions {list(directions.shape)}", list(jitter.shape) == wanted
        )
    _check_out(frames, dtype, mean, std)
    _check_gradients(frames, jitter, directions=directions, fov=fov, roll=roll)
    normal = _three("mean", mean, 0.0), _three("std", std, 1.0)
    return torch.ops.avsa_fast.gnomonic.default(
        frames, directions, fov, h, w, roll, flip, jitter, *normal, antialias, dtype
    )


def _check_source(frames: Tensor, source: str, matrix: str, full_range: bool) -> None:
    if source != "erp":
        raise ValueError(f"source must be 'erp', not {source!r}: other sources are not supported yet")
    if isinstance(frames, (tuple, list)):
        raise ValueError("frames must be an RGB tensor [B, F, H, W, 3]: YUV planes are not supported yet")
    if matrix != "bt709" or full_range:
        raise ValueError(f"matrix {matrix!r} and full_range {full_range!r} are for YUV planes, not supported yet")


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
    if len(size) != 2 or min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"size must be (h, w) of at least 1 and at most 2^29 pixels, not {tuple(size)}")
    return size[0], size[1]


def _check_out(frames: Tensor, dtype: torch.dtype, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    if dtype not in DTYPES:
        raise TypeError(f"dtype must be float32, float16, bfloat16, float64 or uint8, not {dtype}")
    if dtype == torch.float64 and frames.dtype != torch.float64:
        raise TypeError(f"dtype float64 needs float64 frames, not {frames.dtype}")
    if dtype == torch.uint8 and not (mean is None and std is None):
        raise ValueError("dtype uint8 holds 0..255 and takes no mean and no std")


def _check_gradients(frames: Tensor, jitter: Tensor | None, **poses: Tensor | None) -> None:
    """Raises where a gradient is wanted that this operation does not give."""
    if not torch.is_grad_enabled():
        return
    for name, value in (*poses.items(), ("jitter", jitter)):
        if value is not None and value.requires_grad:
            raise ValueError(f"{name} requires a gradient, which is not supported yet: pass {name}.detach()")
    if jitter is not None and frames.requires_grad:
        raise ValueError("frames require a gradient, which is not supported through jitter: pass jitter=None")


def _three(name: str, values: Sequence[float] | None, default: float) -> list[float]:
    numbers = [default] * 3 if values is None else [float(value) for value in values]
    if len(numbers) != 3 or not all(map(isfinite, numbers)) or (name == "std" and min(numbers) <= 0):
        raise ValueError(f"{name} must be 3 finite{' positive' if name == 'std' else ''} numbers, not {numbers}")
    return numbers


def _check_values(directions: Tensor, fov: Tensor, roll: Tensor | None, jitter: Tensor | None) -> None:
    """Raises ValueError for poses on the CPU that no crop has."""
    if directions.device.type != "cpu":
        return
    _check.finite("directions", directions)
    if not ((fov > 0) & (fov.double() < pi)).all():
        raise ValueError("fov must be within (0, pi) radians everywhere")
    if roll is not None:
        _check.finite("roll", roll)
    if jitter is not None:
        _check.finite("jitter", jitter)
        if (jitter[..., :3] < 0).any() or (jitter[..., 3].abs() > 0.5).any():
            raise ValueError("jitter must hold factors of 0 or more, and a hue shift within ±0.5")


def _view(
    directions: Tensor, fov: Tensor, roll: Tensor | None, flip: Tensor | None, antialias: bool,
    F: int, H: int, W: int, h: int, w: int,
) -> tuple[int, ...]:  # fmt: skip
    """What both kernels are told of the poses, which are contiguous."""
    B, K, _ = directions.shape
    poses = (address(directions), address(fov), address(roll), address(flip))
    return DTYPES[directions.dtype], *poses, antialias, B, F, H, W, K, h, w


def _packed(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _gnomonic(
    frames: Tensor, directions: Tensor, fov: Tensor, h: int, w: int, roll: Tensor | None, flip: Tensor | None,
    jitter: Tensor | None, mean: list[float], std: list[float], antialias: bool, dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    _check_values(directions, fov, roll, jitter)
    B, F, H, W, _ = frames.shape
    K = directions.shape[1]
    if frames.stride()[2:] != (3 * W, 3, 1):
        frames = frames.contiguous()
    directions, fov = directions.contiguous(), fov.contiguous()
    roll, flip, jitter = _packed(roll), _packed(flip), _packed(jitter)
    tiles = -(-h * w // TILE)
    greys = None if jitter is None else directions.new_empty((B, K, tiles, F), dtype=torch.float64)
    out = frames.new_empty((B, K, 3, F, h, w), dtype=dtype)
    run(
        "gnomonic", frames.device, *_view(directions, fov, roll, flip, antialias, F, H, W, h, w), DTYPES[frames.dtype],
        frames.data_ptr(), frames.stride(0), frames.stride(1), address(jitter), address(greys), *mean, *std,
        DTYPES[dtype], out.data_ptr(),
    )  # fmt: skip
    return out


def _shape(
    frames: Tensor, directions: Tensor, fov: Tensor, h: int, w: int, roll: Tensor | None, flip: Tensor | None,
    jitter: Tensor | None, mean: list[float], std: list[float], antialias: bool, dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    return frames.new_empty((*directions.shape[:2], 3, frames.shape[1], h, w), dtype=dtype)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    frames, directions, fov, ctx.h, ctx.w, roll, flip, _, _, ctx.std, ctx.antialias, _ = inputs
    ctx.H, ctx.W, ctx.dtype = frames.shape[2], frames.shape[3], frames.dtype
    ctx.save_for_backward(directions, fov, roll, flip)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad = grad.to(ctx.dtype) / grad.new_tensor(ctx.std, dtype=ctx.dtype).view(3, 1, 1, 1)
    directions, fov, roll, flip = ctx.saved_tensors
    to_frames = torch.ops.avsa_fast.gnomonic_backward.default(
        grad, directions, fov, ctx.H, ctx.W, roll, flip, ctx.antialias
    )
    return to_frames, *[None] * 11


def _gnomonic_backward(
    grad: Tensor, directions: Tensor, fov: Tensor, H: int, W: int, roll: Tensor | None, flip: Tensor | None,
    antialias: bool,
) -> Tensor:  # fmt: skip
    B, K, _, F, h, w = grad.shape
    grad, directions, fov = grad.contiguous(), directions.contiguous(), fov.contiguous()
    roll, flip = _packed(roll), _packed(flip)
    # Whole numbers of a unit so small that the sum over all pixels of all crops just stays below 2^62.
    peak = grad.abs().amax().double() if grad.numel() else grad.new_zeros((), dtype=torch.float64)
    unit = (peak * 2.0 ** ((K * h * w).bit_length() - 62)).clamp(min=1e-300)
    sums = grad.new_zeros((B, F, H, W, 3), dtype=torch.int64)
    run(
        "gnomonic_backward", grad.device, *_view(directions, fov, roll, flip, antialias, F, H, W, h, w),
        DTYPES[grad.dtype], grad.data_ptr(), unit.data_ptr(), sums.data_ptr(),
    )  # fmt: skip
    return (sums * unit).to(grad.dtype)


def _shape_backward(
    grad: Tensor, directions: Tensor, fov: Tensor, H: int, W: int, roll: Tensor | None, flip: Tensor | None,
    antialias: bool,
) -> Tensor:  # fmt: skip
    return grad.new_empty((grad.shape[0], grad.shape[3], H, W, 3))


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, directions, fov, _, _, roll, flip, ctx.antialias = inputs
    ctx.h, ctx.w = grad.shape[-2:]
    ctx.save_for_backward(directions, fov, roll, flip)


def _backward_of_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The gradient is linear in what comes in: its own gradient is the crop again."""
    directions, fov, roll, flip = ctx.saved_tensors
    plain: list[Any] = [None, [0.0] * 3, [1.0] * 3, ctx.antialias, grad.dtype]
    crops = torch.ops.avsa_fast.gnomonic.default(grad, directions, fov, ctx.h, ctx.w, roll, flip, *plain)
    return crops, *[None] * 7


register(
    "gnomonic(Tensor frames, Tensor directions, Tensor fov, SymInt h, SymInt w, Tensor? roll, Tensor? flip, "
    "Tensor? jitter, float[] mean, float[] std, bool antialias, ScalarType dtype) -> Tensor",
    _gnomonic, _shape, _save, _backward,
)  # fmt: skip
register(
    "gnomonic_backward(Tensor grad, Tensor directions, Tensor fov, SymInt H, SymInt W, Tensor? roll, Tensor? flip, "
    "bool antialias) -> Tensor",
    _gnomonic_backward, _shape_backward, _save_backward, _backward_of_backward,
)  # fmt: skip
