"""Mixing channels by a matrix, as a torch operation."""

from math import prod
from typing import Any

import torch
from torch import Tensor

from avsa_fast.reference.harmonics import orders_of_channels

from ._kernel import DTYPES, run
from ._library import register


def mix(signals: Tensor, matrix: Tensor, *, order: int = -1) -> Tensor:
    """matrix [..., R, C] @ signals [..., C, T] -> [..., R, T] like signals.

    The matrix is float64 where signals are, else float32. order >= 0: rows are the channels of views of a scene of that
    order, and mix only channels of their own order. Raises ValueError on the CPU for samples that are not finite.
    """
    return torch.ops.avsa_fast.mix.default(signals, matrix, order)


def _mix(signals: Tensor, matrix: Tensor, order: int) -> Tensor:
    signals, matrix = signals.contiguous(), matrix.contiguous()
    *leading, C, T = signals.shape
    out = _shape(signals, matrix, order)
    bad = run(
        "mix", signals.device, DTYPES[signals.dtype], signals.data_ptr(), matrix.data_ptr(), out.data_ptr(),
        prod(leading), C, matrix.shape[-2], T, order >= 0,
    )  # fmt: skip
    if bad:
        raise ValueError("signals must be finite, but hold NaN or infinity")
    return out


def _shape(signals: Tensor, matrix: Tensor, order: int) -> Tensor:
    return signals.new_empty(*matrix.shape[:-1], signals.shape[-1])


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    signals, matrix, ctx.order = inputs
    ctx.save_for_backward(signals, matrix)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    signals, matrix = ctx.saved_tensors
    wide, own = grad.to(matrix.dtype), None
    if ctx.order >= 0:
        orders = torch.tensor(orders_of_channels(ctx.order), device=grad.device)
        own = (orders[:, None] == orders).repeat(matrix.shape[-2] // len(orders), 1)
        matrix = matrix * own
    to_signals = (matrix.mT @ wide).to(signals.dtype) if ctx.needs_input_grad[0] else None
    if not ctx.needs_input_grad[1]:
        return to_signals, None, None
    to_matrix = wide @ signals.to(matrix.dtype).mT
    return to_signals, to_matrix if own is None else to_matrix * own, None


register("mix(Tensor signals, Tensor matrix, int order) -> Tensor", _mix, _shape, _save, _backward)
