"""The loss of one process and its gradient as operations."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ._dispatch import _C, register
from ._info_nce_blocks import (
    Rows,
    accumulate_gradients,
    checked_options,
    initial_sums,
    loss_weight,
    prepare,
    project,
    row_losses,
    scan,
    total,
)
from ._info_nce_wgmma import uses_wgmma


def _info_nce(
    query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int, precision: str
) -> tuple[Tensor, Tensor]:
    query, key = query.contiguous(), key.contiguous()
    wgmma = uses_wgmma(query, precision)
    options = checked_options(temperature, query.dtype, symmetric, crops, precision, wgmma)
    statistics = prepare(query, key)
    query_sums, key_sums = (initial_sums(len(rows), options.scale) for rows in (query, key))
    scan(Rows(query, statistics[0]), Rows(key, statistics[1]), options, query_sums, key_sums)
    loss = row_losses(statistics, query_sums, key_sums, options) * loss_weight(len(query), symmetric)
    return loss.to(query.dtype), statistics


def _info_nce_fake(query: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
    return query.new_empty(()), query.new_empty(2, query.shape[0], _C.INFO_NCE_STATISTICS, dtype=torch.float64)


def _info_nce_setup(ctx: Any, inputs: SimpleNamespace, output: tuple[Tensor, Tensor]) -> None:
    statistics = output[1]
    ctx.mark_non_differentiable(statistics)
    ctx.set_materialize_grads(False)
    ctx.options = inputs.symmetric, inputs.crops, inputs.precision
    ctx.save_for_backward(inputs.query, inputs.key, inputs.temperature, statistics)


def _info_nce_grads(ctx: Any, grad: Tensor | None, *_: None) -> dict[str, Tensor | None]:
    if grad is None:
        return {}
    grads = info_nce_backward(grad, *ctx.saved_tensors, *ctx.options)
    return dict(zip(("query", "key", "temperature"), grads, strict=True))


def _info_nce_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    temperature: Tensor,
    statistics: Tensor,
    symmetric: bool,
    crops: int,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor]:
    query, key = query.contiguous(), key.contiguous()
    wgmma = uses_wgmma(query, precision)
    options = checked_options(temperature, query.dtype, symmetric, crops, precision, wgmma)
    rows = Rows(query, statistics[0]), Rows(key, statistics[1])
    query_grad, key_grad = torch.zeros_like(query), torch.zeros_like(key)
    accumulate_gradients(*rows, options, query_grad, key_grad)
    factor = grad.double() * loss_weight(len(query), symmetric) * options.scale
    radial = project(rows[0], rows[1], factor, query_grad)
    project(rows[1], rows[0], factor, key_grad)
    # Every cosine is multiplied by the scale, so the part along the unit rows gives the derivative in the scale.
    return query_grad, key_grad, -factor * options.scale * total(radial)


def _info_nce_backward_fake(query: Tensor, key: Tensor, temperature: Tensor, **_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape), torch.empty_like(temperature)


def _info_nce_backward_grads(ctx: Any, *grads: Tensor) -> dict[str, Tensor | None]:
    raise NotImplementedError("info_nce has no second derivatives")


# The mean loss [] of rows [N, D], and the rows' statistics [2, N, 3].
info_nce = register(_info_nce, _info_nce_fake, _info_nce_setup, _info_nce_grads)

# Gradients of the loss with respect to query, key and temperature.
info_nce_backward = register(_info_nce_backward, _info_nce_backward_fake, backward=_info_nce_backward_grads)
