"""The kernels of info_nce, and the loss of one process made of them as a torch operation with its gradient."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ._kernel import DTYPES, run
from ._library import register

# The numbers of csrc/info_nce/info_nce.h.
PRECISIONS = {"fp32": 0, "tf32": 1, "3xtf32": 2, "bf16": 3}

# Statistics [2, N, 3] of query and key rows, float64: 1 / norm, the pair's cosine, the loss of choosing the partner.
COSINE, LOSS, STATISTICS = 1, 2, 3


class Options(NamedTuple):
    """What every block of a loss shares. scale: 1 / temperature, float64 []."""

    scale: Tensor
    symmetric: bool
    crops: int
    precision: str


class Rows(NamedTuple):
    """A side of a block: data [n, D], statistics [n, 3], and the first row's number among all rows."""

    data: Tensor
    statistics: Tensor
    first: int = 0

    def numbers(self) -> list[int]:
        return [self.data.data_ptr(), self.statistics.data_ptr(), len(self.data), self.first]


def scale_of(temperature: Tensor, dtype: torch.dtype) -> Tensor:
    """1 / temperature as kernels of `dtype` multiply by it. Raises ValueError for no temperature; on CUDA gives NaN."""
    if temperature.device.type == "cpu" and not 0 < temperature.item() < float("inf"):
        raise ValueError(f"temperature must be finite and above 0, not {temperature.item()!r}")
    scale = torch.where((temperature > 0) & temperature.isfinite(), 1 / temperature, torch.nan)
    return scale.to(dtype).double()


def prepare(query: Tensor, key: Tensor) -> Tensor:
    """Statistics [2, N, 3] of contiguous rows [N, D], their losses still to come."""
    statistics = query.new_empty(2, len(query), STATISTICS, dtype=torch.float64)
    pointers = query.data_ptr(), key.data_ptr(), statistics.data_ptr()
    run("info_nce_prepare", query.device, DTYPES[query.dtype], *pointers, *query.shape)
    return statistics


def no_sums(count: int, scale: Tensor) -> Tensor:
    """[count, 2]: (top, sum) of rows that have met no others. While 2 scale < 80 the top is the scale throughout."""
    sums = scale.new_zeros(count, 2)
    sums[:, 0] = torch.where(2 * scale < 80, scale, torch.finfo(torch.float64).min)
    return sums


def scan(query: Rows, key: Rows, options: Options, query_sums: Tensor, key_sums: Tensor) -> None:
    """Adds to the sums [n, 2] of either side what the rows of a block find in each other; to key_sums if symmetric."""
    block, workspace = _block(query, key, options)
    pointers = workspace.data_ptr(), query_sums.data_ptr(), key_sums.data_ptr()
    run("info_nce_scan", workspace.device, *block, *pointers)


def gather(query: Rows, key: Rows, options: Options, query_grad: Tensor, key_grad: Tensor) -> None:
    """Adds to the gradients [n, D] of either side what a block gives, before `project`."""
    block, workspace = _block(query, key, options)
    pointers = workspace.data_ptr(), query_grad.data_ptr(), key_grad.data_ptr()
    run("info_nce_gather", workspace.device, *block, *pointers)


def lose(statistics: Tensor, query_sums: Tensor, key_sums: Tensor, options: Options) -> Tensor:
    """Writes the losses of rows whose sums [N, 2] are complete into statistics [2, N, 3]; returns their total."""
    for side, sums in zip(statistics, (query_sums, key_sums), strict=True):
        log_ratio = sums[:, 1].log() + (sums[:, 0] - options.scale * side[:, COSINE])
        side[:, LOSS] = torch.logaddexp(log_ratio, torch.zeros_like(log_ratio))  # softplus
    if not options.symmetric:
        statistics[1, :, LOSS] = 0  # of keys that choose nothing
    return total(statistics[:, :, LOSS].sum(0))


def project(own: Rows, partner: Rows, factor: Tensor, grad: Tensor) -> Tensor:
    """Turns what was gathered [N, D] into `factor` times the gradient of own rows; returns its slope along them [N]."""
    slopes = factor.new_empty(len(own.data))
    run(
        "info_nce_project", grad.device, DTYPES[grad.dtype], own.numbers(), partner.numbers(), grad.shape[1],
        factor.data_ptr(), grad.data_ptr(), slopes.data_ptr(),
    )  # fmt: skip
    return slopes


def total(values: Tensor) -> Tensor:
    """The sum of values [N], of the same bits for any number of threads: torch splits long sums by threads."""
    return torch.nn.functional.pad(values, (0, -len(values) % 256)).view(-1, 256).sum(1).sum()


def share(rows: int, symmetric: bool) -> float:
    """The weight of a row's loss in the mean."""
    return 1 / (max(rows, 1) * (2 if symmetric else 1))


def _block(query: Rows, key: Rows, options: Options) -> tuple[tuple[Any, ...], Tensor]:
    """The numbers of a block, and a workspace [bytes] for its kernels."""
    block = (
        DTYPES[query.data.dtype], PRECISIONS[options.precision], query.numbers(), key.numbers(), query.data.shape[1],
        options.crops, options.scale.data_ptr(), options.symmetric,
    )  # fmt: skip
    size = torch.zeros((), dtype=torch.int64)
    run("info_nce_workspace", query.data.device, *block, size.data_ptr())
    return block, query.data.new_empty(int(size), dtype=torch.uint8)


def _forward(
    query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int, precision: str
) -> tuple[Tensor, Tensor]:
    query, key = query.contiguous(), key.contiguous()
    options = Options(scale_of(temperature, query.dtype), symmetric, crops, precision)
    statistics = prepare(query, key)
    query_sums, key_sums = no_sums(len(query), options.scale), no_sums(len(key), options.scale)
    scan(Rows(query, statistics[0]), Rows(key, statistics[1]), options, query_sums, key_sums)
    loss = lose(statistics, query_sums, key_sums, options) * share(len(query), symmetric)
    return loss.to(query.dtype), statistics


def _shape(
    query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int, precision: str
) -> tuple[Tensor, Tensor]:
    return query.new_empty(()), query.new_empty(2, query.shape[0], STATISTICS, dtype=torch.float64)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, temperature, *ctx.options = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(query, key, temperature, output[1])


def _gradients(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 6
    gradients = torch.ops.avsa_fast.info_nce_backward.default(grad, *ctx.saved_tensors, *ctx.options)
    return *gradients, None, None, None


def _backward(
    grad: Tensor, query: Tensor, key: Tensor, temperature: Tensor, statistics: Tensor, symmetric: bool, crops: int,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    query, key = query.contiguous(), key.contiguous()
    options = Options(scale_of(temperature, query.dtype), symmetric, crops, precision)
    rows = Rows(query, statistics[0]), Rows(key, statistics[1])
    query_grad, key_grad = torch.zeros_like(query), torch.zeros_like(key)
    gather(*rows, options, query_grad, key_grad)
    factor = grad.double() * share(len(query), symmetric) * options.scale
    slopes = project(rows[0], rows[1], factor, query_grad)
    project(rows[1], rows[0], factor, key_grad)
    # Every cosine enters as scale times cosine: the derivative by the scale is what lies along the unit rows.
    return query_grad, key_grad, -factor * options.scale * total(slopes)


def _backward_shape(
    grad: Tensor, query: Tensor, key: Tensor, temperature: Tensor, statistics: Tensor, symmetric: bool, crops: int,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return query.new_empty(query.shape), key.new_empty(key.shape), torch.empty_like(temperature)


def _once_only(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError("info_nce has no second derivatives")


register(
    "info_nce_forward(Tensor query, Tensor key, Tensor temperature, bool symmetric, int crops, str precision)"
    " -> (Tensor, Tensor)",
    _forward, _shape, _save, _gradients,
)  # fmt: skip
register(
    "info_nce_backward(Tensor grad, Tensor query, Tensor key, Tensor temperature, Tensor statistics, bool symmetric,"
    " int crops, str precision) -> (Tensor, Tensor, Tensor)",
    _backward, _backward_shape, backward=_once_only,
)  # fmt: skip
info_nce_operation = torch.ops.avsa_fast.info_nce_forward.default
