"""Plane waves into first-order ambisonics."""

from math import prod
from typing import Any

import torch
from torch import Tensor

from avsa_fast.reference.ambisonics import spherical_harmonics

from . import _check
from ._ambisonics import FLOATS, check_directions, mixing_backward
from ._kernel import DTYPES, run
from ._library import register


def encode(signal: Tensor, directions: Tensor, order: int = 1) -> Tensor:
    """Encodes sources at directions into ambisonics (ACN channel order, SN3D norm: W, Y, Z, X).

    signal: [..., S, T] float32 or float64, S sources. directions: [..., S, 2] like signal, (azimuth, elevation) in
    radians. order: 1. Returns [..., 4, T]. Differentiable in signal and directions.
    Raises TypeError for another dtype; ValueError for shapes that do not fit, another order or, on the CPU, a direction
    that is not finite (on CUDA it gives NaN).
    """
    if order != 1:
        raise ValueError(f"order must be 1, not {order!r}: higher orders are not supported yet")
    _check.dtype("signal", signal, FLOATS)
    _check.shape("signal", signal, "[..., S, T]", signal.ndim >= 2)
    check_directions("signal", signal, directions)
    _check.shape("directions", directions, f"{[*signal.shape[:-1], 2]}", directions.shape[-2] == signal.shape[-2])
    return torch.ops.avsa_fast.encode.default(signal, directions)


def _encode(signal: Tensor, directions: Tensor) -> Tensor:
    _check.finite("directions", directions)
    signal, directions = signal.contiguous(), directions.contiguous()
    *leading, S, T = signal.shape
    out = signal.new_empty(*leading, 4, T)
    run(
        "encode", signal.device, DTYPES[signal.dtype], signal.data_ptr(), directions.data_ptr(), out.data_ptr(),
        prod(leading), S, T,
    )  # fmt: skip
    return out


def _shape(signal: Tensor, directions: Tensor) -> Tensor:
    return signal.new_empty(*signal.shape[:-2], 4, signal.shape[-1])


def _save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    signal, directions = ctx.saved_tensors
    needed = ctx.needs_input_grad[1:2]
    to_signal, to_poses = mixing_backward(grad, signal, [directions], needed, lambda d: spherical_harmonics(d).mT)
    return to_signal, *to_poses


register("encode(Tensor signal, Tensor directions) -> Tensor", _encode, _shape, _save, _backward)
