"""Interaction with torch: torch.compile, autocast, and bitwise reproducibility."""

import pytest
import torch
from helpers.operations import CALLS, assert_as_expected


@pytest.mark.parametrize("name", CALLS)
def test_compiles(kernel_device: torch.device, name: str) -> None:
    """Compiles without graph breaks, with the same results and gradients: by Inductor on a GPU, else by aot_eager."""
    torch._dynamo.reset()
    call = CALLS[name]().to(kernel_device)
    backend = "inductor" if kernel_device.type == "cuda" else "aot_eager"
    compiled = call.outputs(torch.compile(call.function, fullgraph=True, backend=backend))
    assert_as_expected(compiled[0], call)
    for got, eager in zip(compiled, call.outputs(), strict=True):
        torch.testing.assert_close(got, eager, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CALLS)
def test_autocast_does_not_change_results(kernel_device: torch.device, name: str) -> None:
    """Results and gradients do not change, because the operations choose their own precision."""
    call = CALLS[name]().to(kernel_device)
    plain = call.outputs()
    with torch.autocast(kernel_device.type, torch.bfloat16):
        cast = call.outputs()
    for got, expected in zip(cast, plain, strict=True):
        assert got.dtype == expected.dtype
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", CALLS)
def test_repeated_calls_are_bit_identical(kernel_device: torch.device, name: str) -> None:
    call = CALLS[name]().to(kernel_device)
    first = call.outputs()
    for _ in range(5 if kernel_device.type == "cuda" else 1):
        again = call.outputs()
        assert all(torch.equal(x, y) for x, y in zip(again, first, strict=True))
