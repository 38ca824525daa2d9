"""The kernels of info_nce, and the loss of one process and its gradient as operations."""

from types import SimpleNamespace
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor

from ._dispatch import _C, register, run


class Options(NamedTuple):
    """What all blocks of a loss share."""

    scale: Tensor  # [] float64, 1 / temperature
    symmetric: bool
    crops: int
    precision: str


class Rows(NamedTuple):
    """One side of a block."""

    data: Tensor  # [n, D]
    statistics: Tensor  # [n, 3] float64: 1 / norm, the pair's cosine, the loss
    first: int = 0  # number of the first row among all rows


class _Block(TypedDict):
    """A block, as kernels take it: which rows are compared, and how."""

    query: Tensor
    query_statistics: Tensor
    query_first: int
    key: Tensor
    key_statistics: Tensor
    key_first: int
    scale: Tensor
    crops: int
    symmetric: bool
    precision: str


def checked_options(temperature: Tensor, dtype: torch.dtype, symmetric: bool, crops: int, precision: str) -> Options:
    """Options of rows of `dtype`.

    Raises ValueError for an invalid temperature on the CPU. On CUDA it makes the scale NaN.
    """
    if temperature.device.type == "cpu" and not 0 < temperature.item() < float("inf"):
        raise ValueError(f"temperature must be finite and above 0, not {temperature.item()!r}")
    scale = torch.where((temperature > 0) & temperature.isfinite(), 1 / temperature, torch.nan)
    return Options(scale.to(dtype).double(), symmetric, crops, precision)  # rounded as the kernels multiply by it


def prepare(query: Tensor, key: Tensor) -> Tensor:
    """Statistics [2, N, 3] of contiguous rows [N, D]; their losses are not computed yet."""
    statistics = query.new_empty(2, len(query), _C.INFO_NCE_STATISTICS, dtype=torch.float64)
    run(_C.info_nce_prepare, query.device, query=query, key=key, statistics=statistics)
    return statistics


def initial_sums(count: int, scale: Tensor) -> Tensor:
    """[count, 2]: (max, sum) of rows before the first block. Of a small scale the max is the scale throughout."""
    sums = scale.new_zeros(count, 2)
    sums[:, 0] = torch.where(scale < _C.INFO_NCE_MAX_COMMON_SCALE, scale, torch.finfo(torch.float64).min)
    return sums


def scan(query: Rows, key: Rows, options: Options, query_sums: Tensor, key_sums: Tensor) -> None:
    """Adds a block's terms to the (max, sum) [n, 2] of its query rows and, if symmetric, of its key rows."""
    block = _block(query, key, options)
    workspace = _workspace(block)
    run(
        _C.info_nce_scan,
        query.data.device,
        **block,
        workspace=workspace,
        query_sums=query_sums,
        key_sums=key_sums,
    )


def accumulate_gradients(query: Rows, key: Rows, options: Options, query_grad: Tensor, key_grad: Tensor) -> None:
    """Adds a block's terms to the gradients [n, D] of its query and key rows, which `project` completes."""
    block = _block(query, key, options)
    workspace = _workspace(block)
    run(
        _C.info_nce_gradient,
        query.data.device,
        **block,
        workspace=workspace,
        query_grad=query_grad,
        key_grad=key_grad,
    )


def row_losses(statistics: Tensor, query_sums: Tensor, key_sums: Tensor, options: Options) -> Tensor:
    """Writes the losses of rows with complete sums [N, 2] into their statistics [2, N, 3]; returns their total."""
    cosine, loss = _C.INFO_NCE_COSINE, _C.INFO_NCE_LOSS
    for side, sums in zip(statistics, (query_sums, key_sums), strict=True):
        log_ratio = sums[:, 1].log() + (sums[:, 0] - options.scale * side[:, cosine])
        side[:, loss] = torch.logaddexp(log_ratio, torch.zeros_like(log_ratio))  # softplus
    if not options.symmetric:
        statistics[1, :, loss] = 0
    return total(statistics[:, :, loss].sum(0))


def project(own: Rows, partner: Rows, factor: Tensor, grad: Tensor) -> Tensor:
    """Completes the gathered gradient [N, D] of own rows, times `factor`, in place.

    Returns:
        [N], the component of each gradient along its unit row, before the factor.
    """
    radial = factor.new_empty(len(own.data))
    run(
        _C.info_nce_project,
        grad.device,
        own=own.data,
        own_statistics=own.statistics,
        partner=partner.data,
        partner_statistics=partner.statistics,
        factor=factor,
        grad=grad,
        radial=radial,
    )
    return radial


def total(values: Tensor) -> Tensor:
    """The sum of values [N], with the same bits for any number of threads: torch splits long sums by threads."""
    return torch.nn.functional.pad(values, (0, -len(values) % 256)).view(-1, 256).sum(1).sum()


def loss_weight(rows: int, symmetric: bool) -> float:
    """The weight of a row's loss in the mean loss."""
    return 1 / (max(rows, 1) * (2 if symmetric else 1))


def _block(query: Rows, key: Rows, options: Options) -> _Block:
    return {
        "query": query.data,
        "query_statistics": query.statistics,
        "query_first": query.first,
        "key": key.data,
        "key_statistics": key.statistics,
        "key_first": key.first,
        "scale": options.scale,
        "crops": options.crops,
        "symmetric": options.symmetric,
        "precision": options.precision,
    }


def _workspace(block: _Block) -> Tensor:
    """Memory that a block's kernels need: [bytes] uint8."""
    query = block["query"]
    size = run(_C.info_nce_workspace_size, query.device, **block)
    return query.new_empty(size, dtype=torch.uint8)


def _info_nce(
    query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int, precision: str
) -> tuple[Tensor, Tensor]:
    query, key = query.contiguous(), key.contiguous()
    options = checked_options(temperature, query.dtype, symmetric, crops, precision)
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
    options = checked_options(temperature, query.dtype, symmetric, crops, precision)
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
