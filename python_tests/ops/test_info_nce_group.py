"""InfoNCE over rows distributed across a process group, compared with one process that has all rows."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from helpers.together import together
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from avsa_fast import ops, reference
from avsa_fast.ops import _info_nce_group

spec = importlib.util.spec_from_file_location(
    "info_nce_scaling", Path(__file__).parents[2] / "docs" / "info_nce_scaling.py"
)
assert spec is not None
assert spec.loader is not None
scaling = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scaling)

CASES = [
    {"symmetric": True},
    {"symmetric": False, "negatives": "joint", "crops": 2},
    {"symmetric": True, "negatives": "joint", "crops": 2},
]
COUNTS = {2: [[8, 8], [10, 4], [0, 6]], 4: [[6, 6, 6, 6], [2, 8, 0, 4]]}


def rows_of(counts: list[int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(counts))
    query, noise = (torch.randn(sum(counts), 9, generator=generator, dtype=torch.float64) for _ in range(2))
    return query.to(dtype), (query + noise).to(dtype)


def on_ranks(function: Callable[..., None], ranks: int, *arguments: object) -> None:
    """Runs function(*arguments) on each rank of a gloo group."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"file://{folder}/store"  # a file rather than a port, which another process might take first
        together(_rank, ranks, (function, ranks, store, arguments), "fork")


def _rank(rank: int, function: Callable[..., None], ranks: int, store: str, arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=ranks)
    try:
        function(*arguments)
    finally:
        dist.destroy_process_group()


def _equals_one_process() -> None:
    rank, ranks = dist.get_rank(), dist.get_world_size()
    for counts in COUNTS[ranks]:
        own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-9)):
            for scale in (14.3, 100):
                for options in CASES:
                    rows = rows_of(counts, dtype)
                    whole = [x.clone().requires_grad_() for x in (*rows, torch.tensor(1 / scale, dtype=dtype))]
                    want = reference.info_nce if dtype == torch.float64 else ops.info_nce
                    loss = want(whole[0], whole[1], temperature=whole[2], **options)
                    (1.5 * loss).backward()
                    for most in (2**30, 0):  # all-gather, then ring
                        _info_nce_group.MAX_GATHERED_BYTES = most
                        part = [x[own].clone().requires_grad_() for x in rows]
                        temperature = whole[2].detach().clone().requires_grad_()
                        got = ops.info_nce(*part, temperature=temperature, group=dist.group.WORLD, **options)
                        (1.5 * got).backward()
                        torch.testing.assert_close(got, loss, rtol=tolerance, atol=tolerance)
                        for x, y in zip(part, whole[:2], strict=True):
                            share = x.grad / ranks - y.grad[own]
                            assert share.norm() <= tolerance * y.grad.norm()
                        torch.testing.assert_close(temperature.grad, whole[2].grad, rtol=tolerance, atol=tolerance)


def _trains_like_one_process() -> None:
    """A linear encoder and a temperature under DistributedDataParallel, with two steps of plain gradient descent."""

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.weight = torch.nn.Parameter(torch.randn(9, 7, generator=generator, dtype=torch.float64))
            self.temperature = torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64))

        def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return query @ self.weight, key @ self.weight, self.temperature

    rank, ranks = dist.get_rank(), dist.get_world_size()
    counts = COUNTS[ranks][1]
    own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
    query, key = rows_of(counts, torch.float64)
    one, spread = Encoder(), Encoder()
    parallel = DistributedDataParallel(spread)
    for _ in range(2):
        for model, encoder, part, group in (
            (one, one, slice(None), None),
            (spread, parallel, own, dist.group.WORLD),
        ):
            model.zero_grad()
            q, k, temperature = encoder(query[part], key[part])
            ops.info_nce(q, k, temperature=temperature, symmetric=True, group=group).backward()
            with torch.no_grad():
                model.weight -= 0.1 * model.weight.grad
                model.temperature -= 0.01 * model.temperature.grad
    for x, y in zip(spread.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)


def _traffic_and_work_match_the_model() -> None:
    """The bytes received by a rank and the operations of its blocks, as counted, match the model's prediction."""
    rank, ranks, rows, D = dist.get_rank(), dist.get_world_size(), 24, 9
    received, operations = 0.0, 0
    size = {
        "all_gather_into_tensor": lambda every, own, **_: (ranks - 1) * own.nbytes,
        "reduce_scatter_tensor": lambda own, parts, **_: (ranks - 1) * own.nbytes,
        "all_reduce": lambda x, *_, **__: 2 * (ranks - 1) / ranks * x.nbytes,
        "P2POp": lambda op, x, *_: x.nbytes if op is dist.irecv else 0,
    }

    def counted(function: Callable[..., object], name: str) -> Callable[..., object]:
        def call(*arguments: Any, **options: Any) -> object:
            nonlocal received
            received += size[name](*arguments, **options)
            return function(*arguments, **options)

        return call

    def with_work_counted(function: Callable[..., object], each: int) -> Callable[..., object]:
        def call(query: Any, key: Any, *rest: Any) -> object:
            nonlocal operations
            operations += each * len(query.data) * len(key.data) * D
            return function(query, key, *rest)

        return call

    for name in size:
        setattr(dist, name, counted(getattr(dist, name), name))
    _info_nce_group.scan = with_work_counted(_info_nce_group.scan, 2)
    _info_nce_group.accumulate_gradients = with_work_counted(_info_nce_group.accumulate_gradients, 6)
    for ring in (False, True):
        _info_nce_group.MAX_GATHERED_BYTES = 0 if ring else 2**30
        received, operations = 0.0, 0
        own = slice(rows // ranks * rank, rows // ranks * (rank + 1))
        query, key = (torch.randn(rows, D)[own].requires_grad_() for _ in range(2))
        ops.info_nce(query, key, symmetric=True, group=dist.group.WORLD).backward()
        work = scaling.work_per_rank(rows, D, ranks, ring)
        assert received == pytest.approx(work.received), ring
        assert operations == work.operations


def _refuses_different_options() -> None:
    rank = dist.get_rank()
    with pytest.raises(ValueError, match=r"the rows' D must be the same on every rank of the group, not \[3, 4\]"):
        ops.info_nce(torch.ones(2, 3 + rank), torch.ones(2, 3 + rank), group=dist.group.WORLD)
    with pytest.raises(ValueError, match="symmetric must be the same on every rank"):
        ops.info_nce(torch.ones(2, 3), torch.ones(2, 3), symmetric=rank == 1, group=dist.group.WORLD)
    with pytest.raises(ValueError, match=r"temperature must be the same on every rank of the group, not \[0.1, 0.2\]"):
        ops.info_nce(torch.ones(2, 3), torch.ones(2, 3), temperature=0.1 * (rank + 1), group=dist.group.WORLD)
    with pytest.raises(ValueError, match="crops must divide the 3 rows, not 2"):  # one clip on two ranks
        ops.info_nce(torch.ones(3, 3), torch.ones(3, 3), negatives="joint", crops=2, group=dist.group.WORLD)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_equal_one_process(ranks):
    on_ranks(_equals_one_process, ranks)


@pytest.mark.parametrize("ranks", [2, 4])
def test_parallel_training_equals_one_process(ranks):
    on_ranks(_trains_like_one_process, ranks)


@pytest.mark.parametrize("ranks", [2, 4])
def test_traffic_and_work_match_the_model(ranks):
    on_ranks(_traffic_and_work_match_the_model, ranks)


def test_different_options_on_ranks_are_refused():
    on_ranks(_refuses_different_options, 2)
