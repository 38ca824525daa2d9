"""InfoNCE over rows that span the ranks of a process group: each rank meets its query rows with every rank's keys.

Keys are gathered from all ranks if they fit into MAX_GATHERED_BYTES, else they pass round a ring of ranks: no rank
then holds more than two ranks' keys.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed import ProcessGroup

from ._info_nce_kernels import (
    PRECISIONS,
    Options,
    Rows,
    gather,
    lose,
    no_sums,
    prepare,
    project,
    scale_of,
    scan,
    share,
    total,
)
from ._kernel import DTYPES

MAX_GATHERED_BYTES = 2**30  # bytes of all ranks' keys

# Called with a rank's key rows, and the tensor [n, ...] of that rank to add to.
Step = Callable[[Rows, Tensor], None]


class _Span(NamedTuple):
    """How all rows span the ranks."""

    group: ProcessGroup
    counts: list[int]  # of each rank's rows

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
    """As info_nce, which has checked the arguments. Raises ValueError on every rank where they differ among ranks."""
    return _Loss.apply(query, key, temperature, symmetric, crops, precision, group)


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, temperature: Tensor, symmetric: bool, crops: int, precision: str,
        group: ProcessGroup,
    ) -> Tensor:  # fmt: skip
        query, key = query.contiguous(), key.contiguous()
        options = Options(scale_of(temperature, query.dtype), symmetric, crops, precision)
        span = _span(query, options, group)
        statistics = prepare(query, key)
        own = Rows(query, statistics[0], span.first(span.rank))
        query_sums = no_sums(len(query), options.scale)
        key_sums = _visit(
            lambda keys, sums: scan(own, keys, options, query_sums, sums),
            Rows(key, statistics[1]), lambda count: no_sums(count, options.scale), _merge, span,
        )  # fmt: skip
        loss = lose(statistics, query_sums, key_sums, options) * share(sum(span.counts), symmetric)
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
        key_grad = _visit(
            lambda keys, key_grad: gather(own, keys, options, query_grad, key_grad),
            partner, lambda count: key.new_zeros(count, key.shape[1]), _add, span,
        )  # fmt: skip
        factor = grad.double() * share(sum(span.counts), options.symmetric) * scale
        # All ranks' losses together are the number of ranks times the loss: averaging over ranks divides by it.
        slopes = project(own, partner, span.ranks * factor, query_grad)
        project(partner, own, span.ranks * factor, key_grad)
        along = total(slopes)
        dist.all_reduce(along, group=span.group)
        return query_grad, key_grad, -factor * scale * along, None, None, None, None


def _span(query: Tensor, options: Options, group: ProcessGroup) -> _Span:
    """Raises ValueError on every rank where ranks disagree."""
    facts = [query.shape[1], DTYPES[query.dtype], options.symmetric, options.crops, PRECISIONS[options.precision]]
    own = torch.tensor([len(query), *facts], device=query.device)
    every = own.new_empty(dist.get_world_size(group) * len(own))
    dist.all_gather_into_tensor(every, own, group=group)
    every = every.view(-1, len(own))
    for n, name in enumerate(("the rows' D", "their dtype", "symmetric", "negatives and crops", "precision"), 1):
        if (every[:, n] != every[0, n]).any():
            raise ValueError(f"{name} must be the same on every rank of the group, not {every[:, n].tolist()}")
    return _Span(group, every[:, 0].tolist())


def _visit(
    step: Step, key: Rows, start: Callable[[int], Tensor], reduce: Callable[[Tensor, _Span], Tensor], span: _Span
) -> Tensor:
    """Meets every rank's keys. Returns the tensor, of start(rows of this rank), that all ranks have added to."""
    most = max(span.counts)
    if span.ranks * most * key.data.shape[1] * key.data.element_size() > MAX_GATHERED_BYTES:
        return _ring(step, key, start(most), span)
    data, statistics = (_gather(_padded(x, most), span) for x in (key.data, key.statistics))
    added = torch.stack([start(most) for _ in span.counts])
    for rank, count in enumerate(span.counts):
        step(Rows(data[rank, :count], statistics[rank, :count], span.first(rank)), added[rank, :count])
    return reduce(added, span)[: len(key.data)]


def _ring(step: Step, key: Rows, added: Tensor, span: _Span) -> Tensor:
    """Keys and what was added to theirs pass from rank to rank until they are back."""
    most = len(added)
    data, statistics = _padded(key.data, most), _padded(key.statistics, most)
    for turn in range(span.ranks):
        rank = (span.rank - turn) % span.ranks
        count = span.counts[rank]
        coming = _pass_on([data, statistics], span) if turn + 1 < span.ranks else None  # while the step computes
        step(Rows(data[:count], statistics[:count], span.first(rank)), added[:count])
        if coming is not None:
            data, statistics = coming()
        (added,) = _pass_on([added], span)()
    return added[: len(key.data)]


def _pass_on(tensors: list[Tensor], span: _Span) -> Callable[[], list[Tensor]]:
    """Sends tensors to the next rank; what is returned waits for those of the rank before."""
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
    """The (top, sum) over ranks of their sums for this rank: [ranks, n, 2] -> [n, 2]."""
    tops = sums[..., 0].contiguous()
    dist.all_reduce(tops, dist.ReduceOp.MAX, group=span.group)
    below = sums[..., 1] * torch.exp(sums[..., 0] - tops)
    return torch.stack([tops[span.rank], _add(below, span)], 1)
