"""InfoNCE forward and backward, symmetric, D = 128: the kernel in float32 and bfloat16, the reference and its peers.

Peers: dense torch, the same under torch.compile, open_clip's ClipLoss (which is given normalised rows). A peer that is
not installed is left out. `sgemm` is a float32 matrix product of 8 N² D operations at the rate of 2048³: what the
kernel's products alone would take, the recomputation of the backward pass included.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from avsa_fast import ops, reference

D = 128
TEMPERATURE = 0.07
CASES = [
    pytest.param(rows, marks=pytest.mark.benchmark(group=f"info_nce: {rows} rows"), id=str(rows))
    for rows in (64, 1024, 4096, 8192)
]
each_size = pytest.mark.parametrize("rows", CASES)


def kernel(query: Tensor, key: Tensor) -> Tensor:
    return ops.info_nce(query, key, temperature=TEMPERATURE, symmetric=True)


def kernel_bf16(query: Tensor, key: Tensor) -> Tensor:
    return ops.info_nce(query, key, temperature=TEMPERATURE, symmetric=True, precision="bf16")


def dense(query: Tensor, key: Tensor) -> Tensor:
    """What most code does: the matrix of logits, and torch's cross-entropy over it."""
    logits = torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(key).T / TEMPERATURE
    target = torch.arange(len(query))
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def measure(benchmark: Any, loss: Callable[[Tensor, Tensor], Tensor], rows: int) -> None:
    torch.manual_seed(0)
    query, key = (torch.randn(rows, D, requires_grad=True) for _ in range(2))

    def step() -> None:
        query.grad = key.grad = None
        loss(query, key).backward()

    benchmark.pedantic(step, rounds=50 if rows < 1000 else 5, warmup_rounds=1)


@each_size
def test_kernel(benchmark, rows):
    measure(benchmark, kernel, rows)


@each_size
def test_kernel_bf16(benchmark, rows):
    measure(benchmark, kernel_bf16, rows)


@each_size
def test_sgemm(benchmark, rows):
    size, products = 2048, 4 * rows**2 * D / 2048**3  # of 2 * 2048³ operations
    a, b = torch.randn(size, size), torch.randn(size, size)
    whole, rest = divmod(products, 1)
    part = round(rest * size)

    def multiply() -> None:
        for _ in range(int(whole)):
            a @ b
        if part:
            a[:part] @ b

    benchmark.pedantic(multiply, rounds=5, warmup_rounds=1)


@each_size
def test_dense_torch(benchmark, rows):
    measure(benchmark, dense, rows)


@each_size
def test_torch_compile(benchmark, rows):
    measure(benchmark, torch.compile(dense), rows)


@each_size
def test_open_clip(benchmark, rows):
    loss = pytest.importorskip("open_clip.loss").ClipLoss()

    def clip(query: Tensor, key: Tensor) -> Tensor:
        normalize = torch.nn.functional.normalize
        return loss(normalize(query), normalize(key), logit_scale=1 / TEMPERATURE)

    measure(benchmark, clip, rows)


@each_size
def test_reference(benchmark, rows):
    if rows > 4096:
        pytest.skip("takes seconds")
    measure(benchmark, lambda q, k: reference.info_nce(q, k, temperature=TEMPERATURE, symmetric=True), rows)
