"""The kernels of info_nce, block by block: rows of queries against rows of keys."""

from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from . import _checks
from ._dispatch import _C, run


class Options(NamedTuple):
    """What all blocks of a loss share."""

    scale: Tensor  # [] float64, 1 / temperature
    symmetric: bool
    crops: int
    precision: str
    wgmma: bool  # of the two kernels for bf16 on Hopper, which one


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
    wgmma: bool


def checked_options(
    temperature: Tensor, dtype: torch.dtype, symmetric: bool, crops: int, precision: str, wgmma: bool
) -> Options:
    """Options of rows of `dtype`.

    Raises ValueError for an invalid temperature on the CPU. On CUDA it makes the scale NaN.
    """
    _checks.temperature(temperature)
    scale = torch.where((temperature > 0) & temperature.isfinite(), 1 / temperature, torch.nan)
    return Options(scale.to(dtype).double(), symmetric, crops, precision, wgmma)  # rounded as kernels multiply by it


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
        "wgmma": options.wgmma,
    }


def _workspace(block: _Block) -> Tensor:
    """Memory that a block's kernels need: [bytes] uint8."""
    query = block["query"]
    size = run(_C.info_nce_workspace_size, query.device, **block)
    return query.new_empty(size, dtype=torch.uint8)
