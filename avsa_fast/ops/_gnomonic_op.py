"""The operation behind gnomonic, and its gradients with respect to frames and poses."""

from math import pi
from types import SimpleNamespace
from typing import Any, TypedDict

import torch
from torch import Tensor

from . import _checks
from ._constants import vector
from ._dispatch import _C, register, run

MAX_EAC_WEIGHT = 4  # of a texel, at least: extrapolation by half a texel weights one by 1.5^2


class _View(TypedDict):
    """Directions, fields of view and sampling of the crops, as kernels take them."""

    directions: Tensor  # [B, K, 2]
    fov: Tensor  # [B, K]
    roll: Tensor | None  # [B, K]
    flip: Tensor | None  # [B, K]
    antialias: bool
    eac: bool


def _view(
    directions: Tensor, fov: Tensor, roll: Tensor | None, flip: Tensor | None, antialias: bool, eac: bool
) -> _View:
    return {
        "directions": directions.contiguous(),
        "fov": fov.contiguous(),
        "roll": None if roll is None else roll.contiguous(),
        "flip": None if flip is None else flip.contiguous(),
        "antialias": antialias,
        "eac": eac,
    }


def _check_values(directions: Tensor, fov: Tensor, roll: Tensor | None, jitter: Tensor | None) -> None:
    """Raises ValueError for CPU tensors with values that no crop can have."""
    if directions.device.type != "cpu":
        return
    _checks.directions(directions)
    _check_all("fov must be within (0, pi) radians", fov, (fov > 0) & (fov.double() < pi))
    if roll is not None:
        _checks.finite("roll", roll)
    if jitter is not None:
        _checks.finite("jitter", jitter)
        factors, hue = jitter[..., :3], jitter[..., 3]
        _check_all("jitter must hold factors of 0 or more", factors, factors >= 0)
        _check_all("jitter must hold hue shifts within ±0.5", hue, hue.abs() <= 0.5)


def _check_all(requirement: str, values: Tensor, valid: Tensor) -> None:
    if not valid.all():
        raise ValueError(f"{requirement}, but holds {values[~valid][0].item():.6g}")


def _with_contiguous_rows(plane: Tensor) -> Tensor:
    """A plane [B, F, H, W] or [B, F, H, W, C] as kernels read it; copied only if its rows are not contiguous."""
    texel = (1,) if plane.ndim == 4 else (plane.shape[4], 1)
    rows_fit = plane.shape[2] * plane.stride(2) < _C.GNOMONIC_MAX_ELEMENTS
    return plane if plane.stride()[3:] == texel and rows_fit else plane.contiguous()


def _gnomonic(
    frames: Tensor,
    cb: Tensor | None,
    cr: Tensor | None,
    yuv: list[float],
    directions: Tensor,
    fov: Tensor,
    h: int,
    w: int,
    roll: Tensor | None,
    flip: Tensor | None,
    jitter: Tensor | None,
    mean: list[float],
    std: list[float],
    antialias: bool,
    eac: bool,
    dtype: torch.dtype,
) -> Tensor:
    _check_values(directions, fov, roll, jitter)
    out = _gnomonic_fake(frames, directions, h, w, dtype)
    partial_greys = sampled = None
    if jitter is not None:
        B, K, _, F = out.shape[:4]
        partial_greys = out.new_empty((B, K, _C.gnomonic_tiles(h=h, w=w), F), dtype=torch.float64)
        wide = torch.float64 if frames.dtype == torch.float64 else torch.float32
        sampled = out if dtype == wide or out.is_cuda else torch.empty_like(out, dtype=wide)
    run(
        _C.gnomonic,
        frames.device,
        **_view(directions, fov, roll, flip, antialias, eac),
        planes=[_with_contiguous_rows(plane) for plane in (frames, cb, cr) if plane is not None],
        yuv=yuv or [0.0] * 6,
        jitter=None if jitter is None else jitter.contiguous(),
        mean=mean,
        std=std,
        partial_greys=partial_greys,
        sampled=sampled,
        out=out,
    )
    return out


def _gnomonic_fake(frames: Tensor, directions: Tensor, h: int, w: int, dtype: torch.dtype, **_: Any) -> Tensor:
    return frames.new_empty((*directions.shape[:2], 3, frames.shape[1], h, w), dtype=dtype)


def _gnomonic_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    frames = inputs.frames
    ctx.std, ctx.antialias, ctx.eac = inputs.std, inputs.antialias, inputs.eac
    ctx.H, ctx.W = frames.shape[2:4]
    ctx.dtype = frames.dtype if frames.is_floating_point() else torch.float32
    ctx.needs_pose = any(ctx.needs_grad[name] for name in ("directions", "fov", "roll"))
    ctx.save_for_backward(inputs.directions, inputs.fov, inputs.roll, inputs.flip, frames if ctx.needs_pose else None)


def _gnomonic_grads(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    directions, fov, roll, flip, frames = ctx.saved_tensors
    grad = grad.to(ctx.dtype) / vector(ctx.std, grad, ctx.dtype).view(3, 1, 1, 1)
    grads: dict[str, Tensor | None] = {}
    if ctx.needs_grad["frames"]:
        grads["frames"] = gnomonic_backward(grad, directions, fov, ctx.H, ctx.W, roll, flip, ctx.antialias, ctx.eac)
    if ctx.needs_pose:
        if ctx.eac and frames.dtype == torch.uint8:
            view = _view(directions, fov, roll, flip, ctx.antialias, ctx.eac)
            h, w = grad.shape[-2:]
            crops = _crops(frames.float() / 255, h, w, view)
            grad = grad.masked_fill((crops < 0) | (crops > 1), 0)  # where the forward pass clamped
        grads |= _pose_grads(ctx, grad, frames, directions, fov, roll, flip)
    return grads


def _crops(frames: Tensor, h: int, w: int, view: _View) -> Tensor:
    """Crops [B, K, 3, F, h, w] of float frames, of their dtype, linear in them."""
    return gnomonic(
        frames=frames,
        cb=None,
        cr=None,
        yuv=[],
        h=h,
        w=w,
        jitter=None,
        mean=[0.0] * 3,
        std=[1.0] * 3,
        dtype=frames.dtype,
        **view,
    )


def _pose_grads(
    ctx: Any,
    grad: Tensor,
    frames: Tensor,
    directions: Tensor,
    fov: Tensor,
    roll: Tensor | None,
    flip: Tensor | None,
) -> dict[str, Tensor | None]:
    """Gradients of the pose by name, if they are needed, from the gradient of crops of frames."""
    poses = gnomonic_pose_backward(grad, frames, directions, fov, roll, flip, ctx.antialias, ctx.eac)
    columns = {"directions": poses[..., :2], "fov": poses[..., 2], "roll": poses[..., 3]}
    return {name: part.to(directions.dtype) for name, part in columns.items() if ctx.needs_grad[name]}


def _gnomonic_backward(
    grad: Tensor,
    directions: Tensor,
    fov: Tensor,
    H: int,
    W: int,
    roll: Tensor | None,
    flip: Tensor | None,
    antialias: bool,
    eac: bool,
) -> Tensor:
    B, K, _, F, h, w = grad.shape
    # Multiples of a unit so small that the sum over all pixels of all crops just stays below 2^62: sums of integers
    # do not depend on the order of additions. A unit per frame, because gradients of frames may differ by any factor.
    peak = grad.abs().amax((1, 2, 4, 5)).double() if K else grad.new_zeros((B, F), dtype=torch.float64)
    terms = K * h * w * (MAX_EAC_WEIGHT if eac else 1)
    unit = (peak * 2.0 ** (terms.bit_length() - 62)).clamp(min=1e-300)
    sums = grad.new_zeros((B, F, H, W, 3), dtype=torch.int64)
    run(
        _C.gnomonic_backward,
        grad.device,
        **_view(directions, fov, roll, flip, antialias, eac),
        grad=grad.contiguous(),
        unit=unit,
        sums=sums,
    )
    return (sums * unit[..., None, None, None]).to(grad.dtype)


def _gnomonic_backward_fake(grad: Tensor, H: int, W: int, **_: Any) -> Tensor:
    return grad.new_empty((grad.shape[0], grad.shape[3], H, W, 3))


def _gnomonic_backward_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.antialias, ctx.eac = inputs.antialias, inputs.eac
    ctx.h, ctx.w = inputs.grad.shape[-2:]
    ctx.needs_pose = any(ctx.needs_grad[name] for name in ("directions", "fov", "roll"))
    ctx.save_for_backward(
        inputs.directions, inputs.fov, inputs.roll, inputs.flip, inputs.grad if ctx.needs_pose else None
    )


def _gnomonic_backward_grads(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    """Crops C of frames x are linear in x: <C' g, x> = <g, C x>, whose gradients by g and the pose are known."""
    directions, fov, roll, flip, first_grad = ctx.saved_tensors
    grads: dict[str, Tensor | None] = {}
    if ctx.needs_pose:
        grads |= _pose_grads(ctx, first_grad, grad, directions, fov, roll, flip)
    if not ctx.needs_grad["grad"]:
        return grads
    grads["grad"] = _crops(grad, ctx.h, ctx.w, _view(directions, fov, roll, flip, ctx.antialias, ctx.eac))
    return grads


def _gnomonic_pose_backward(
    grad: Tensor,
    frames: Tensor,
    directions: Tensor,
    fov: Tensor,
    roll: Tensor | None,
    flip: Tensor | None,
    antialias: bool,
    eac: bool,
) -> Tensor:
    B, K, _, _, h, w = grad.shape
    sums = grad.new_empty((B, K, _C.gnomonic_tiles(h=h, w=w), 4), dtype=torch.float64)
    run(
        _C.gnomonic_pose_backward,
        grad.device,
        **_view(directions, fov, roll, flip, antialias, eac),
        grad=grad.contiguous(),
        frames=_with_contiguous_rows(frames),
        sums=sums,
    )
    return sums.sum(2)


def _gnomonic_pose_backward_fake(grad: Tensor, **_: Any) -> Tensor:
    return grad.new_empty((*grad.shape[:2], 4), dtype=torch.float64)


def _gnomonic_pose_backward_grads(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    raise NotImplementedError("gnomonic has no second derivatives of directions, fov and roll")


# Crops [B, K, 3, F, h, w] of RGB frames [B, F, H, W, 3], or of luma `frames` and chroma planes `cb` and `cr`.
gnomonic = register(_gnomonic, _gnomonic_fake, _gnomonic_setup, _gnomonic_grads)

# Gradient with respect to frames, [B, F, H, W, 3], with the same bits from run to run.
gnomonic_backward = register(
    _gnomonic_backward, _gnomonic_backward_fake, _gnomonic_backward_setup, _gnomonic_backward_grads
)

# Gradients with respect to azimuth, elevation, field of view and roll, [B, K, 4] float64.
gnomonic_pose_backward = register(
    _gnomonic_pose_backward, _gnomonic_pose_backward_fake, backward=_gnomonic_pose_backward_grads
)
