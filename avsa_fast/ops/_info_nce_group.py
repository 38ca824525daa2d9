"""InfoNCE over rows that span the ranks of a process group: each rank compares its query rows with every rank's keys.

Keys are gathered from all ranks if they fit into MAX_GATHERED_BYTES. Otherwise they are passed around a ring of ranks,
and no rank holds more than two ranks' keys.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed import ProcessGroup

from ._dispatch import _C
from ._info_nce_blocks import (
    Options,
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

MAX_GATHERED_BYTES = 2**30  # of all ranks' keys

# Called with a rank's key rows, and the tensor [n, ...] of that rank to add to.
Step = Callable[[Rows, Tensor], None]


class _Span(NamedTuple):
    """How the rows are distributed over the ranks."""

    group: ProcessGroup
    counts: list[int]  # of each rank's rows
    wgmma: bool  # whether every rank uses it

    @property
    def ranks(self) -> int:
        return len(self.counts)

    @property
    def rank(self) -> int:
        return dist.get_rank(self.group)

    def first(self, rank: int) -> int:
        return sum(self.counts[:rank])


def info_nce_of_group(
    query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int, precision: str, group: ProcessGroup
) -> Tensor:
    """The loss of info_nce, which has checked the arguments. Raises ValueError on every rank if they differ."""
    return _Loss.apply(query, key, temperature, symmetric, crops, precision, group)


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int, precision: str,
        group: ProcessGroup,
    ) -> Tensor:  # fmt: skip
        query, key = query.contiguous(), key.contiguous()
        wgmma = uses_wgmma(query, precision)
        options = checked_options(temperature, query.dtype, symmetric, crops, precision, wgmma)
        span = _span(query, options, group)
        options = options._replace(wgmma=span.wgmma)
        statistics = prepare(query, key)
        own = Rows(query, statistics[0], span.first(span.rank))
        query_sums = initial_sums(len(query), options.scale)
        key_sums = _for_each_rank(
            lambda keys, sums: scan(own, keys, options, query_sums, sums),
            Rows(key, statistics[1]), lambda count: initial_sums(count, options.scale), _merge, span,
        )  # fmt: skip
        loss = row_losses(statistics, query_sums, key_sums, options) * loss_weight(sum(span.counts), symmetric)
        dist.all_reduce(loss, group=group)
        ctx.save_for_backward(query, key, options.scale, statistics)
        ctx.options, ctx.span = options[1:], span
        return loss.to(query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, scale, statistics = ctx.saved_tensors
        options, span = Options(scale, *ctx.options), ctx.span
        own, partner = Rows(query, statistics[0], span.first(span.rank)), Rows(key, statistics[1])
        query_grad = torch.zeros_like(query)
        key_grad = _for_each_rank(
            lambda keys, key_grad: accumulate_gradients(own, keys, options, query_grad, key_grad),
            partner, lambda count: key.new_zeros(count, key.shape[1]), _add, span,
        )  # fmt: skip
        factor = grad.double() * loss_weight(sum(span.counts), options.symmetric) * scale
        # Averaging over ranks divides by their number.
        radial = project(own, partner, span.ranks * factor, query_grad)
        project(partner, own, span.ranks * factor, key_grad)
        along = total(radial)
        dist.all_reduce(along, group=span.group)
        return query_grad, key_grad, -factor * scale * along, None, None, None, None


def _span(query: Tensor, options: Options, group: ProcessGroup) -> _Span:
    """Exchanges the ranks' row counts and options. Raises ValueError on every rank if the options differ."""
    precision = _C.PRECISIONS.index(options.precision)
    shared = [query.shape[1], query.element_size(), options.symmetric, options.crops, precision]
    numbers = [len(query), *shared, options.wgmma]
    # The scale's bits: its value would wait for the device.
    own = torch.cat([torch.tensor(numbers, device=query.device), options.scale.view(1).view(torch.int64)])
    every = own.new_empty(dist.get_world_size(group) * len(own))
    dist.all_gather_into_tensor(every, own, group=group)
    every = every.view(-1, len(own))
    for n, name in enumerate(("the rows' D", "their dtype", "symmetric", "negatives and crops", "precision"), 1):
        if (every[:, n] != every[0, n]).any():
            raise ValueError(f"{name} must be the same on every rank of the group, not {every[:, n].tolist()}")
    scales = every[:, -1].contiguous().view(torch.float64)
    if (scales != scales[0]).any() and not scales.isnan().all():
        temperatures = [float(f"{temperature:.7g}") for temperature in (1 / scales).tolist()]
        raise ValueError(f"temperature must be the same on every rank of the group, not {temperatures}")
    return _Span(group, every[:, 0].tolist(), bool(every[:, len(shared) + 1].all()))


def _for_each_rank(
    step: Step, key: Rows, start: Callable[[int], Tensor], reduce: Callable[[Tensor, _Span], Tensor], span: _Span
) -> Tensor:
    """Runs a step with every rank's keys. Returns start(rows of this rank) after all ranks have added to it."""
    max_count = max(span.counts)
    if span.ranks * max_count * key.data.shape[1] * key.data.element_size() > MAX_GATHERED_BYTES:
        return _ring(step, key, start(max_count), span)
    data, statistics = (_gather(_padded(x, max_count), span) for x in (key.data, key.statistics))
    added = torch.stack([start(max_count) for _ in span.counts])
    for rank, count in enumerate(span.counts):
        step(Rows(data[rank, :count], statistics[rank, :count], span.first(rank)), added[rank, :count])
    return reduce(added, span)[: len(key.data)]


def _ring(step: Step, key: Rows, added: Tensor, span: _Span) -> Tensor:
    """Passes keys and what was added for them from rank to rank until they are back."""
    max_count = len(added)
    data, statistics = _padded(key.data, max_count), _padded(key.statistics, max_count)
    for step_number in range(span.ranks):
        rank = (span.rank - step_number) % span.ranks
        count = span.counts[rank]
        more = step_number + 1 < span.ranks
        receive = _send_to_next([data, statistics], span) if more else None  # while the step computes
        step(Rows(data[:count], statistics[:count], span.first(rank)), added[:count])
        if receive is not None:
            data, statistics = receive()
        (added,) = _send_to_next([added], span)()
    return added[: len(key.data)]


def _send_to_next(tensors: list[Tensor], span: _Span) -> Callable[[], list[Tensor]]:
    """Sends tensors to the next rank; the returned function waits for and returns those of the previous rank."""
    received = [torch.empty_like(x) for x in tensors]
    if span.ranks == 1:
        return lambda: tensors
    after, before = (dist.get_global_rank(span.group, (span.rank + by) % span.ranks) for by in (1, -1))
    transfers = [dist.P2POp(dist.isend, x, after, span.group) for x in tensors]
    transfers += [dist.P2POp(dist.irecv, x, before, span.group) for x in received]
    pending = dist.batch_isend_irecv(transfers)

    def wait() -> list[Tensor]:
        for work in pending:
            work.wait()
        return received

    return wait


def _padded(rows: Tensor, count: int) -> Tensor:
    """Rows [n, ...] with zeros up to `count` rows."""
    return torch.cat([rows, rows.new_zeros(count - len(rows), *rows.shape[1:])])


def _gather(rows: Tensor, span: _Span) -> Tensor:
    """Every rank's rows: [ranks, n, ...]."""
    every = rows.new_empty(span.ranks * len(rows), *rows.shape[1:])
    dist.all_gather_into_tensor(every, rows, group=span.group)
    return every.view(span.ranks, *rows.shape)


def _add(parts: Tensor, span: _Span) -> Tensor:
    """The sum over ranks of their parts for this rank: [ranks, n, ...] -> [n, ...]."""
    own = torch.empty_like(parts[0])
    dist.reduce_scatter_tensor(own, parts.flatten(0, 1), group=span.group)
    return own


def _merge(sums: Tensor, span: _Span) -> Tensor:
    """The (max, sum) over ranks of their sums for this rank: [ranks, n, 2] -> [n, 2]."""
    maxima = sums[..., 0].contiguous()
    dist.all_reduce(maxima, dist.ReduceOp.MAX, group=span.group)
    scaled = sums[..., 1] * torch.exp(sums[..., 0] - maxima)
    return torch.stack([maxima[span.rank], _add(scaled, span)], 1)
