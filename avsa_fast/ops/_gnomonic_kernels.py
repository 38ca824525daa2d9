"""The kernels of gnomonic as torch operations, with their shapes, checks of values and gradients."""

from math import pi
from typing import Any

import torch
from torch import Tensor

from . import _check
from ._kernel import DTYPES, address, run
from ._library import register

TILE = 128  # kTile of csrc/gnomonic/gnomonic.h
MOST_ELEMENTS = 2**31  # of a plane, gaps between rows included


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
    directions: Tensor, fov: Tensor, roll: Tensor | None, flip: Tensor | None, antialias: bool, eac: bool,
    F: int, h: int, w: int,
) -> tuple[int, ...]:  # fmt: skip
    """What all kernels are told of the poses, which are contiguous."""
    B, K, _ = directions.shape
    poses = (address(directions), address(fov), address(roll), address(flip))
    return DTYPES[directions.dtype], *poses, antialias, int(eac), B, F, K, h, w


def _packed(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _rows_packed(plane: Tensor) -> Tensor:
    """A plane [B, F, H, W] or [B, F, H, W, C] whose rows are contiguous."""
    texel = (1,) if plane.ndim == 4 else (plane.shape[4], 1)
    packed = plane.stride()[3:] == texel and plane.shape[2] * plane.stride(2) < MOST_ELEMENTS
    return plane if packed else plane.contiguous()


def _plane(plane: Tensor) -> list[int]:
    """What a kernel is told of a plane: PlaneNumbers of csrc/bindings.cpp."""
    H, W, channels = (*plane.shape[2:], 1)[:3]
    return [plane.data_ptr(), H, W, channels, *plane.stride()[:3]]


def _tiles(h: int, w: int) -> int:
    return -(-h * w // TILE)


def _gnomonic(
    frames: Tensor, cb: Tensor | None, cr: Tensor | None, yuv: list[float], directions: Tensor, fov: Tensor,
    h: int, w: int, roll: Tensor | None, flip: Tensor | None, jitter: Tensor | None, mean: list[float],
    std: list[float], antialias: bool, eac: bool, dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    _check_values(directions, fov, roll, jitter)
    planes = [_rows_packed(plane) for plane in (frames, cb, cr) if plane is not None]
    (B, F), K = frames.shape[:2], directions.shape[1]
    directions, fov = directions.contiguous(), fov.contiguous()
    roll, flip, jitter = _packed(roll), _packed(flip), _packed(jitter)
    greys = None if jitter is None else directions.new_empty((B, K, _tiles(h, w), F), dtype=torch.float64)
    out = frames.new_empty((B, K, 3, F, h, w), dtype=dtype)
    sampled = None if jitter is None or frames.device.type != "cpu" else _sampled(out, frames.dtype)
    run(
        "gnomonic", frames.device, *_view(directions, fov, roll, flip, antialias, eac, F, h, w), DTYPES[frames.dtype],
        [_plane(plane) for plane in planes], yuv or [0.0] * 6, address(jitter), address(greys), address(sampled),
        mean, std, DTYPES[dtype], out.data_ptr(),
    )  # fmt: skip
    return out


def _sampled(out: Tensor, frames_dtype: torch.dtype) -> Tensor:
    """Memory for crops before jitter: `out` itself if its dtype is the one that the host kernel computes in."""
    dtype = torch.float64 if frames_dtype == torch.float64 else torch.float32
    return out if out.dtype == dtype else torch.empty_like(out, dtype=dtype)


def _shape(
    frames: Tensor, cb: Tensor | None, cr: Tensor | None, yuv: list[float], directions: Tensor, fov: Tensor,
    h: int, w: int, roll: Tensor | None, flip: Tensor | None, jitter: Tensor | None, mean: list[float],
    std: list[float], antialias: bool, eac: bool, dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    return frames.new_empty((*directions.shape[:2], 3, frames.shape[1], h, w), dtype=dtype)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    frames, _, _, _, directions, fov, _, _, roll, flip, _, _, ctx.std, ctx.antialias, ctx.eac, _ = inputs
    ctx.H, ctx.W = frames.shape[2:4]
    ctx.dtype = frames.dtype if frames.is_floating_point() else torch.float32
    ctx.needs_pose = [ctx.needs_input_grad[n] for n in (4, 5, 8)]
    ctx.save_for_backward(directions, fov, roll, flip, frames if any(ctx.needs_pose) else None)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad = grad.to(ctx.dtype) / grad.new_tensor(ctx.std, dtype=ctx.dtype).view(3, 1, 1, 1)
    directions, fov, roll, flip, frames = ctx.saved_tensors
    out: list[Tensor | None] = [None] * 16
    if ctx.needs_input_grad[0]:
        out[0] = torch.ops.avsa_fast.gnomonic_backward.default(
            grad, directions, fov, ctx.H, ctx.W, roll, flip, ctx.antialias, ctx.eac
        )
    if any(ctx.needs_pose):
        poses = torch.ops.avsa_fast.gnomonic_pose_backward.default(
            grad, frames, directions, fov, roll, flip, ctx.antialias, ctx.eac
        )
        parts = (4, poses[..., :2]), (5, poses[..., 2]), (8, poses[..., 3])
        for (n, part), needed in zip(parts, ctx.needs_pose, strict=True):
            out[n] = part.to(directions.dtype) if needed else None
    return tuple(out)


def _gnomonic_backward(
    grad: Tensor, directions: Tensor, fov: Tensor, H: int, W: int, roll: Tensor | None, flip: Tensor | None,
    antialias: bool, eac: bool,
) -> Tensor:  # fmt: skip
    B, K, _, F, h, w = grad.shape
    grad, directions, fov = grad.contiguous(), directions.contiguous(), fov.contiguous()
    roll, flip = _packed(roll), _packed(flip)
    # Whole numbers of a unit so small that the sum over all pixels of all crops just stays below 2^62.
    peak = grad.abs().amax().double() if grad.numel() else grad.new_zeros((), dtype=torch.float64)
    unit = (peak * 2.0 ** ((K * h * w).bit_length() - 62)).clamp(min=1e-300)
    sums = grad.new_zeros((B, F, H, W, 3), dtype=torch.int64)
    run(
        "gnomonic_backward", grad.device, *_view(directions, fov, roll, flip, antialias, eac, F, h, w),
        DTYPES[grad.dtype], grad.data_ptr(), H, W, unit.data_ptr(), sums.data_ptr(),
    )  # fmt: skip
    return (sums * unit).to(grad.dtype)


def _shape_backward(
    grad: Tensor, directions: Tensor, fov: Tensor, H: int, W: int, roll: Tensor | None, flip: Tensor | None,
    antialias: bool, eac: bool,
) -> Tensor:  # fmt: skip
    return grad.new_empty((grad.shape[0], grad.shape[3], H, W, 3))


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, directions, fov, _, _, roll, flip, ctx.antialias, ctx.eac = inputs
    ctx.h, ctx.w = grad.shape[-2:]
    ctx.save_for_backward(directions, fov, roll, flip)


def _backward_of_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The gradient is linear in what comes in: its own gradient is the crop again."""
    directions, fov, roll, flip = ctx.saved_tensors
    crops = torch.ops.avsa_fast.gnomonic.default(
        grad, None, None, [], directions, fov, ctx.h, ctx.w, roll, flip, None, [0.0] * 3, [1.0] * 3,
        ctx.antialias, ctx.eac, grad.dtype,
    )  # fmt: skip
    return crops, *[None] * 8


def _gnomonic_pose_backward(
    grad: Tensor, frames: Tensor, directions: Tensor, fov: Tensor, roll: Tensor | None, flip: Tensor | None,
    antialias: bool, eac: bool,
) -> Tensor:  # fmt: skip
    """[B, K, 4] float64: gradients in azimuth, elevation, field of view and roll."""
    B, K, _, F, h, w = grad.shape
    grad, directions, fov = grad.contiguous(), directions.contiguous(), fov.contiguous()
    frames, roll, flip = _rows_packed(frames), _packed(roll), _packed(flip)
    sums = grad.new_empty((B, K, _tiles(h, w), 4), dtype=torch.float64)
    run(
        "gnomonic_pose_backward", grad.device, *_view(directions, fov, roll, flip, antialias, eac, F, h, w),
        grad.data_ptr(), DTYPES[frames.dtype], _plane(frames), sums.data_ptr(),
    )  # fmt: skip
    return sums.sum(2)


def _shape_pose_backward(
    grad: Tensor, frames: Tensor, directions: Tensor, fov: Tensor, roll: Tensor | None, flip: Tensor | None,
    antialias: bool, eac: bool,
) -> Tensor:  # fmt: skip
    return grad.new_empty((*grad.shape[:2], 4), dtype=torch.float64)


register(
    "gnomonic(Tensor frames, Tensor? cb, Tensor? cr, float[] yuv, Tensor directions, Tensor fov, SymInt h, SymInt w, "
    "Tensor? roll, Tensor? flip, Tensor? jitter, float[] mean, float[] std, bool antialias, bool eac, "
    "ScalarType dtype) -> Tensor",
    _gnomonic, _shape, _save, _backward,
)  # fmt: skip
register(
    "gnomonic_backward(Tensor grad, Tensor directions, Tensor fov, SymInt H, SymInt W, Tensor? roll, Tensor? flip, "
    "bool antialias, bool eac) -> Tensor",
    _gnomonic_backward, _shape_backward, _save_backward, _backward_of_backward,
)  # fmt: skip
register(
    "gnomonic_pose_backward(Tensor grad, Tensor frames, Tensor directions, Tensor fov, Tensor? roll, Tensor? flip, "
    "bool antialias, bool eac) -> Tensor",
    _gnomonic_pose_backward, _shape_pose_backward,
)  # fmt: skip
gnomonic_operation = torch.ops.avsa_fast.gnomonic.default
