"""InfoNCE forward and backward: the kernel, the reference and dense torch, on the CPU."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from avsa_fast import ops, reference

CASES = [
    pytest.param(
        rows, symmetric, marks=pytest.mark.benchmark(group=f"info_nce: {rows} rows, {name}"), id=f"{rows}-{name}"
    )
    for rows in (16, 64, 256, 1024, 4096)
    for symmetric, name in ((False, "one way"), (True, "symmetric"))
]


def dense(query: Tensor, key: Tensor, *, symmetric: bool) -> Tensor:
    """What most code does: the matrix of logits, and torch's cross-entropy over it."""
    logits = torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(key).T / 0.07
    target = torch.arange(len(query))
    loss = torch.nn.functional.cross_entropy(logits, target)
    if symmetric:
        loss = (loss + torch.nn.functional.cross_entropy(logits.T, target)) / 2
    return loss


def measure(benchmark: Any, loss: Callable[..., Tensor], rows: int, symmetric: bool) -> None:
    query, key = (torch.randn(rows, 128, requires_grad=True) for _ in range(2))

    def step() -> None:
        query.grad = key.grad = None
        loss(query, key, symmetric=symmetric).backward()

    benchmark.pedantic(step, rounds=100 if rows < 1000 else 2 if rows > 4000 else 10, warmup_rounds=1)


@pytest.mark.parametrize(("rows", "symmetric"), CASES)
def test_kernel(benchmark, rows, symmetric):
    measure(benchmark, ops.info_nce, rows, symmetric)


@pytest.mark.parametrize(("rows", "symmetric"), CASES)
def test_reference(benchmark, rows, symmetric):
    measure(benchmark, reference.info_nce, rows, symmetric)


@pytest.mark.parametrize(("rows", "symmetric"), CASES)
def test_dense_torch(benchmark, rows, symmetric):
    measure(benchmark, dense, rows, symmetric)
