"""Spherical harmonics of directions and the matrices that turn them to the front, as torch operations.

Their derivatives are products with the constant generators of turns, exact and differentiable again.
"""

from typing import Any

import torch
from torch import Tensor

from avsa_fast.reference.harmonics import generators

from . import _check
from ._kernel import DTYPES, address, run
from ._library import register


def harmonics(directions: Tensor, order: int) -> Tensor:
    """[..., 2] -> [..., C], C = (order + 1)²."""
    return torch.ops.avsa_fast.harmonics.default(directions, order)


def turns(directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    """[..., 2] -> [..., C, C]: each direction comes to the front."""
    return torch.ops.avsa_fast.turns.default(directions, roll, flip, order)


def _harmonics(directions: Tensor, order: int) -> Tensor:
    directions = directions.contiguous()
    out = _harmonics_shape(directions, order)
    bad = run(
        "harmonics", directions.device, DTYPES[directions.dtype], directions.data_ptr(), out.data_ptr(),
        directions.numel() // 2, order,
    )  # fmt: skip
    if bad:
        raise _check.not_finite("directions")
    return out


def _harmonics_shape(directions: Tensor, order: int) -> Tensor:
    return directions.new_empty(*directions.shape[:-1], (order + 1) ** 2)


def _harmonics_save(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
    directions, ctx.order = inputs
    ctx.save_for_backward(directions, output)


def _harmonics_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    directions, values = ctx.saved_tensors
    x, y, z = grad.new_tensor(generators(ctx.order).tolist())
    azimuth = directions[..., 0]
    # An azimuth turns about z, an elevation about the horizontal axis to the direction's right.
    up = azimuth.sin() * _product(grad, x, values) - azimuth.cos() * _product(grad, y, values)
    return torch.stack([_product(grad, z, values), up], dim=-1), None


def _product(grad: Tensor, generator: Tensor, values: Tensor) -> Tensor:
    """grad · (G values), [..., C] each."""
    return (grad * (values @ generator.mT)).sum(-1)


def _turns(directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    if roll is not None:
        roll = roll.contiguous()
    if flip is not None:
        flip = flip.contiguous()
    directions = directions.contiguous()
    out = _turns_shape(directions, roll, flip, order)
    bad = run(
        "turns", directions.device, DTYPES[directions.dtype], directions.data_ptr(), address(roll), address(flip),
        out.data_ptr(), directions.numel() // 2, order,
    )  # fmt: skip
    if bad:
        raise _check.not_finite("directions" if bad & 1 else "roll")
    return out


def _turns_shape(directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    C = (order + 1) ** 2
    return directions.new_empty(*directions.shape[:-1], C, C)


def _turns_save(ctx: Any, inputs: tuple[Tensor, Tensor | None, Tensor | None, int], output: Tensor) -> None:
    _, roll, flip, ctx.order = inputs
    ctx.save_for_backward(roll, flip, output)


def _turns_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """D = mirror Rx(-roll) Ry(elevation) Rz(-azimuth), each factor's derivative moved past the others."""
    roll, flip, matrix = ctx.saved_tensors
    x, y, z = grad.new_tensor(generators(ctx.order).tolist())
    left, right = grad @ matrix.mT, matrix.mT @ grad  # gradients of what would stand left and right of D
    hand = 1 if flip is None else 1 - 2 * flip.to(grad.dtype)  # a mirror inverts turns about x and z
    by_azimuth, about_x, by_elevation = -_inner(right, z), _inner(left, x), _inner(left, y)
    if roll is not None:
        by_elevation = roll.cos() * by_elevation - hand * roll.sin() * _inner(left, z)
    to_roll = -hand * about_x if ctx.needs_input_grad[1] else None
    return torch.stack([by_azimuth, by_elevation], dim=-1), to_roll, None, None


def _inner(grad: Tensor, generator: Tensor) -> Tensor:
    return (grad * generator).sum((-2, -1))


register(
    "harmonics(Tensor directions, int order) -> Tensor",
    _harmonics, _harmonics_shape, _harmonics_save, _harmonics_backward,
)  # fmt: skip
register(
    "turns(Tensor directions, Tensor? roll, Tensor? flip, int order) -> Tensor",
    _turns, _turns_shape, _turns_save, _turns_backward,
)  # fmt: skip
