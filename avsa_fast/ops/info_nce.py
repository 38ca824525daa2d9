"""InfoNCE, the contrastive loss over paired rows."""

from typing import Any

import torch
from torch import Tensor

from . import _check
from ._kernel import DTYPES, run
from ._library import register

HALVES = (torch.float16, torch.bfloat16)
FLOATS = (*HALVES, torch.float32, torch.float64)

# As in csrc/info_nce/panels.h: units lie as [side, panels, depth, LANES], depth a multiple of DEPTH.
LANES = 16
DEPTH = 4


def info_nce(
    query: Tensor,
    key: Tensor,
    *,
    temperature: float | Tensor = 0.07,
    symmetric: bool = False,
    negatives: str = "all",
    crops: int = 1,
    precision: str = "fp32",
    group: None = None,
) -> Tensor:
    """Mean over rows i of -log softmax_j(cosine(query_i, key_j) / temperature) at j = i (van den Oord et al. 2018).

    query, key: [N, D], rows paired: float32 or float64, or float16 and bfloat16, which are computed in float32. A row
    of zeros has cosine 0 with every row, and gradient 0. temperature: a number above 0, or a 0-d float tensor that
    receives a gradient. symmetric: the mean of query -> key and key -> query. negatives: "all", every row competes;
    "joint": row r is crop r mod `crops` of clip r div `crops`, and only rows of one clip or of one crop number compete.
    precision: "fp32". group: None. Returns the loss [], float32 or float64; 0 where N = 0. Differentiable once in
    query, key and temperature, with the same bits from run to run; memory grows with N D, never with N².
    Raises TypeError for another dtype; ValueError for shapes that do not fit, crops that do not divide N, a temperature
    that is not finite and above 0 (a tensor's on the CPU; on CUDA it gives NaN), or another precision or group.
    """
    _check.dtype("query", query, FLOATS)
    _check.like("key", key, "query", query)
    _check.shape("query", query, "[N, D]", query.ndim == 2)
    _check.shape("key", key, f"{list(query.shape)} like query", key.shape == query.shape)
    if negatives not in ("all", "joint"):
        raise ValueError(f'negatives must be "all" or "joint", not {negatives!r}')
    if crops < 1 or query.shape[0] % crops:
        raise ValueError(f"crops must be at least 1 and divide the {query.shape[0]} rows, not {crops!r}")
    if precision != "fp32":
        raise ValueError(f'precision must be "fp32", not {precision!r}: others are not supported yet')
    if group is not None:
        raise ValueError("group must be None: rows that span a process group are not supported yet")
    if query.dtype in HALVES:
        query, key = query.float(), key.float()
    temperature = _as_tensor(temperature, query)
    rival_crops = crops if negatives == "joint" else 1  # with one crop a clip, all rows are of one crop number
    return torch.ops.avsa_fast.info_nce_forward.default(query, key, temperature, symmetric, rival_crops)[0]


def _as_tensor(temperature: float | Tensor, query: Tensor) -> Tensor:
    """The temperature as float64 [] beside query: on CUDA the kernel reads it there."""
    if isinstance(temperature, Tensor):
        _check.dtype("temperature", temperature, FLOATS)
        _check.device("temperature", temperature, "query", query)
        _check.shape("temperature", temperature, "a number or a tensor []", temperature.ndim == 0)
        return temperature.double()
    if not isinstance(temperature, int | float):
        raise TypeError(f"temperature must be a number or a tensor, not {type(temperature).__name__}")
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be finite and above 0, not {temperature!r}")
    return torch.full((), temperature, dtype=torch.float64, device=query.device)


def _forward(
    query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int
) -> tuple[Tensor, Tensor, Tensor]:
    if temperature.device.type == "cpu" and not 0 < temperature.item() < float("inf"):
        raise ValueError(f"temperature must be finite and above 0, not {temperature.item()!r}")
    query, key = query.contiguous(), key.contiguous()
    loss, units, statistics = _forward_shape(query, key, temperature, symmetric, crops)
    run(
        "info_nce_forward", query.device, DTYPES[query.dtype], query.data_ptr(), key.data_ptr(),
        temperature.data_ptr(), units.data_ptr(), statistics.data_ptr(), loss.data_ptr(), *query.shape, crops,
        symmetric,
    )  # fmt: skip
    return loss, units, statistics


def _forward_shape(
    query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int
) -> tuple[Tensor, Tensor, Tensor]:
    N, D = query.shape
    units = query.new_empty(2, (N + LANES - 1) // LANES, (D + DEPTH - 1) // DEPTH * DEPTH, LANES)
    return query.new_empty(()), units, query.new_empty(2, 3, N, dtype=torch.float64)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool, int], output: tuple[Tensor, Tensor, Tensor]) -> None:
    query, key, temperature, ctx.symmetric, ctx.crops = inputs
    _, units, statistics = output
    ctx.mark_non_differentiable(units, statistics)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(query, key, temperature, units, statistics)


def _gradients(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 5
    gradients = torch.ops.avsa_fast.info_nce_backward.default(grad, *ctx.saved_tensors, ctx.symmetric, ctx.crops)
    return *gradients, None, None


def _backward(
    grad: Tensor, query: Tensor, key: Tensor, temperature: Tensor, units: Tensor, statistics: Tensor,
    symmetric: bool, crops: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    gradients = _backward_shape(grad, query, key, temperature, units, statistics, symmetric, crops)
    sums = units.new_empty(units.shape[1:])
    slopes = statistics.new_empty(statistics.shape[2:])
    run(
        "info_nce_backward", query.device, DTYPES[query.dtype], grad.data_ptr(), temperature.data_ptr(),
        units.data_ptr(), statistics.data_ptr(), sums.data_ptr(), slopes.data_ptr(), *map(Tensor.data_ptr, gradients),
        *query.shape, crops, symmetric,
    )  # fmt: skip
    return gradients


def _backward_shape(
    grad: Tensor, query: Tensor, key: Tensor, temperature: Tensor, units: Tensor, statistics: Tensor,
    symmetric: bool, crops: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return query.new_empty(query.shape), key.new_empty(key.shape), torch.empty_like(temperature)


def _once_only(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError("info_nce has no second derivatives")


register(
    "info_nce_forward(Tensor query, Tensor key, Tensor temperature, bool symmetric, int crops)"
    " -> (Tensor, Tensor, Tensor)",
    _forward, _forward_shape, _save, _gradients,
)  # fmt: skip
register(
    "info_nce_backward(Tensor grad, Tensor query, Tensor key, Tensor temperature, Tensor units, Tensor statistics,"
    " bool symmetric, int crops) -> (Tensor, Tensor, Tensor)",
    _backward, _backward_shape, backward=_once_only,
)  # fmt: skip
