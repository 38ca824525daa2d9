"""Operations on ambisonic signals: spherical harmonics, rotation matrices, and mixing of channels by a matrix.

The derivatives of harmonics and rotation matrices are products with the constant generators of rotations: exact, and
differentiable again.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from . import _checks
from ._constants import constant
from ._dispatch import _C, register, run


def _harmonics(directions: Tensor, order: int) -> Tensor:
    directions = directions.contiguous()
    out = _harmonics_fake(directions, order)
    if run(_C.harmonics, directions.device, directions=directions, out=out, order=order):
        _checks.directions(directions)
    return out


def _harmonics_fake(directions: Tensor, order: int) -> Tensor:
    return directions.new_empty(*directions.shape[:-1], (order + 1) ** 2)


def _harmonics_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.order = int(inputs.order)
    ctx.save_for_backward(inputs.directions, output)


def _harmonics_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    directions, values = ctx.saved_tensors
    about_x, about_y, about_z = generator_products(grad, values, ctx.order)
    azimuth = directions[..., 0]
    # Azimuth rotates about z, elevation about the horizontal axis to the right of the direction.
    by_elevation = azimuth.sin() * about_x - azimuth.cos() * about_y
    return {"directions": torch.stack([about_z, by_elevation], dim=-1)}


def generator_products(grad: Tensor, harmonics: Tensor, order: int) -> list[Tensor]:
    """Derivatives [...] by rotations about x, y and z of what has the gradient [..., C] by harmonics [..., C]."""
    return [(grad * (harmonics @ generator.mT)).sum(-1) for generator in constant("generators", order, grad)]


def _rotation_matrices(directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    directions = directions.contiguous()
    out = _rotation_matrices_fake(directions, order)
    invalid = run(
        _C.rotation_matrices,
        directions.device,
        directions=directions,
        roll=None if roll is None else roll.contiguous(),
        flip=None if flip is None else flip.contiguous(),
        out=out,
        order=order,
    )
    if invalid & 1:
        _checks.directions(directions)
    if invalid & 2:
        raise _checks.not_finite("roll")
    return out


def _rotation_matrices_fake(directions: Tensor, order: int, **_: Any) -> Tensor:
    C = (order + 1) ** 2
    return directions.new_empty(*directions.shape[:-1], C, C)


def _rotation_matrices_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.order = int(inputs.order)
    ctx.save_for_backward(inputs.roll, inputs.flip, output)


def _rotation_matrices_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    """D = mirror Rx(-roll) Ry(elevation) Rz(-azimuth), with each factor's derivative commuted past the others."""
    roll, flip, matrix = ctx.saved_tensors
    x, y, z = constant("generators", ctx.order, grad)
    left, right = grad @ matrix.mT, matrix.mT @ grad  # gradients by a factor on the left and on the right of D
    sign = 1 if flip is None else 1 - 2 * flip.to(grad.dtype)  # a mirror inverts rotations about x and z
    by_azimuth, about_x, by_elevation = -_inner(right, z), _inner(left, x), _inner(left, y)
    if roll is not None:
        by_elevation = roll.cos() * by_elevation - sign * roll.sin() * _inner(left, z)
    return {
        "directions": torch.stack([by_azimuth, by_elevation], dim=-1),
        "roll": -sign * about_x if ctx.needs_grad["roll"] else None,
    }


def _inner(grad: Tensor, generator: Tensor) -> Tensor:
    return (grad * generator).sum((-2, -1))


def _mix(signals: Tensor, matrix: Tensor, order: int) -> Tensor:
    signals, matrix = signals.contiguous(), matrix.contiguous()
    out = _mix_fake(signals, matrix)
    if run(_C.mix, signals.device, signals=signals, matrix=matrix, out=out, by_order=order >= 0):
        raise _checks.not_finite("signals")
    return out


def _mix_fake(signals: Tensor, matrix: Tensor, **_: Any) -> Tensor:
    return signals.new_empty(*matrix.shape[:-1], signals.shape[-1])


def _mix_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.order = int(inputs.order)
    ctx.save_for_backward(inputs.signals, inputs.matrix)


def _mix_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    signals, matrix = ctx.saved_tensors
    wide = grad.to(matrix.dtype)
    used: Tensor | int = 1  # the matrix elements that take part
    if ctx.order >= 0:
        same = constant("same_order", ctx.order, grad, torch.bool)
        used = same.repeat(matrix.shape[-2] // len(same), 1)
        matrix = matrix * used
    return {
        "signals": (matrix.mT @ wide).to(signals.dtype) if ctx.needs_grad["signals"] else None,
        "matrix": wide @ signals.to(matrix.dtype).mT * used if ctx.needs_grad["matrix"] else None,
    }


# [..., 2] -> [..., C], C = (order + 1)².
harmonics = register(_harmonics, _harmonics_fake, _harmonics_setup, _harmonics_backward)

# [..., 2] -> [..., C, C], which rotate each direction to the front.
rotation_matrices = register(
    _rotation_matrices, _rotation_matrices_fake, _rotation_matrices_setup, _rotation_matrices_backward
)

# matrix [..., R, C] @ signals [..., C, T] -> [..., R, T] like signals. The matrix is float64 for float64 signals, else
# float32. order >= 0: the rows are channels of views of a scene of that order, and mix only channels of their own
# order; -1: every row mixes every channel.
mix = register(_mix, _mix_fake, _mix_setup, _mix_backward)
