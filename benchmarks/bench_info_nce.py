"""Benchmarks symmetric InfoNCE, forward and backward, D = 128, in float32 and bfloat16, against reference and peers.

Peers: dense torch, the same under torch.compile, open_clip's ClipLoss (on normalised rows); on a GPU also Inf-CL and
siglip-kernel (pip install inf-cl siglip-kernel), which computes a sigmoid loss with as many matrix products. Peers that
are not installed are skipped. `sgemm` runs 8 N² D operations of float32 matrix products of 2048³, the time that the
kernel's products alone would take, including the recomputation in the backward pass.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from avsa_fast import ops, reference
from cases import dense, inf_cl_loss, open_clip_loss, siglip_loss

D = 128
TEMPERATURE = 0.07
Loss = Callable[..., Tensor]


def case(rows: int, device: str = "cpu") -> Any:
    """Returns a pytest parameter for a number of rows on a device."""
    where = "" if device == "cpu" else f" on {device}"
    group = pytest.mark.benchmark(group=f"info_nce: {rows} rows{where}")
    missing = pytest.mark.skipif(device == "cuda" and not torch.cuda.is_available(), reason="no CUDA device")
    return pytest.param(rows, device, marks=[group, missing], id=f"{rows}{where}")


ON_CPU = [case(rows) for rows in (64, 1024, 4096, 8192)]
ON_GPU = [case(32768, "cuda")]
on_cpu = pytest.mark.parametrize(("rows", "device"), ON_CPU)
on_gpu = pytest.mark.parametrize(("rows", "device"), ON_GPU)
anywhere = pytest.mark.parametrize(("rows", "device"), [*ON_CPU, *ON_GPU])


def measure(
    benchmark: Any, loss: Loss, rows: int, device: str, dtype: torch.dtype = torch.float32, **options: Any
) -> None:
    """Benchmarks the forward and backward pass of a loss on random rows."""
    torch.manual_seed(0)
    query, key = (torch.randn(rows, D, device=device, dtype=dtype, requires_grad=True) for _ in range(2))

    def step() -> None:
        query.grad = key.grad = None
        loss(query, key, temperature=TEMPERATURE, symmetric=True, **options).backward()
        if device == "cuda":
            torch.cuda.synchronize()

    benchmark.pedantic(step, rounds=50 if rows < 1000 else 5, warmup_rounds=1)


@anywhere
def test_kernel(benchmark: Any, rows: int, device: str) -> None:
    measure(benchmark, ops.info_nce, rows, device)


@anywhere
def test_kernel_bf16(benchmark: Any, rows: int, device: str) -> None:
    measure(benchmark, ops.info_nce, rows, device, precision="bf16")


@on_gpu
def test_kernel_wgmma(benchmark: Any, rows: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSA_WGMMA", "1")
    measure(benchmark, ops.info_nce, rows, device, precision="bf16")


@on_cpu
def test_sgemm(benchmark: Any, rows: int, device: str) -> None:
    if rows < 1024:
        pytest.skip("fewer operations than one product of 2048³")
    size, products = 2048, 4 * rows**2 * D / 2048**3  # each of 2 * 2048³ operations; 8 N² D in total
    a, b = torch.randn(size, size), torch.randn(size, size)
    count, rest = divmod(products, 1)
    part = round(rest * size)

    def multiply() -> None:
        for _ in range(int(count)):
            a @ b
        if part:
            a[:part] @ b

    benchmark.pedantic(multiply, rounds=5, warmup_rounds=1)


@anywhere
def test_dense_torch(benchmark: Any, rows: int, device: str) -> None:
    measure(benchmark, dense, rows, device)


@anywhere
def test_torch_compile(benchmark: Any, rows: int, device: str) -> None:
    measure(benchmark, torch.compile(dense), rows, device)


@anywhere
def test_open_clip(benchmark: Any, rows: int, device: str) -> None:
    pytest.importorskip("open_clip.loss")
    measure(benchmark, open_clip_loss, rows, device)


@on_gpu
def test_inf_cl(benchmark: Any, rows: int, device: str) -> None:
    pytest.importorskip("inf_cl")
    measure(benchmark, inf_cl_loss, rows, device, torch.bfloat16)


@on_gpu
def test_siglip_kernel(benchmark: Any, rows: int, device: str) -> None:
    pytest.importorskip("siglip_kernel")
    measure(benchmark, siglip_loss, rows, device, torch.bfloat16)


@on_cpu
def test_reference(benchmark: Any, rows: int, device: str) -> None:
    if rows > 4096:
        pytest.skip("takes seconds")
    measure(benchmark, reference.info_nce, rows, device)
