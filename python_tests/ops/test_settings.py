"""Settings of the caller's process: default dtype and device, inference mode, autocast. None changes a result."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from helpers.operations import CALLS
from torch import Tensor

from avsa_fast import ops


@contextmanager
def default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SETTINGS: dict[str, Callable[[], object]] = {
    "default dtype": default_dtype,
    "default device": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def forget() -> None:
    """Empties every cache of the package: the next call makes its tables."""
    for cached in gc.get_objects():
        if hasattr(type(cached), "cache_clear") and str(getattr(cached, "__module__", "")).startswith("avsa_fast"):
            cached.cache_clear()


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", CALLS)
def test_first_call_under_a_setting_changes_no_result(name: str, setting: str) -> None:
    """Neither its own, nor that of later calls outside, nor their gradients."""
    call = CALLS[name]()
    want = call.outputs()
    forget()
    with SETTINGS[setting]():  # type: ignore[attr-defined]
        inside = call()
    torch.testing.assert_close(inside, want[0], rtol=0, atol=0)
    for got, expected in zip(call.outputs(), want, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


@pytest.mark.parametrize("setting", ["default dtype", "default device", "autocast"])
@pytest.mark.parametrize("name", [name for name in CALLS if CALLS[name]().leaves])
def test_gradients_under_a_setting_are_the_same(name: str, setting: str) -> None:
    call = CALLS[name]()
    leaves = {key: call.arguments[key].detach().clone().requires_grad_() for key in call.leaves}

    def gradients(weight: Tensor) -> tuple[Tensor, ...]:
        out = call.function(**{**call.arguments, **leaves})
        return torch.autograd.grad(out, list(leaves.values()), weight)

    weight = torch.randn_like(call())
    want = gradients(weight)
    forget()
    with SETTINGS[setting]():  # type: ignore[attr-defined]
        got = gradients(weight)
    for x, y in zip(got, want, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


def test_features_compile_with_dynamic_shapes() -> None:
    """With the default options, whose tables are larger than what torch.compile takes as constants."""
    torch._dynamo.reset()
    compiled = torch.compile(lambda s, d: ops.spatial_features(s, d), dynamic=True, fullgraph=True, backend="aot_eager")
    for T in (1200, 1500):
        signals, directions = torch.randn(2, 4, T, requires_grad=True), torch.rand(2, 3, 2, requires_grad=True)
        out = compiled(signals, directions)
        torch.testing.assert_close(out, ops.spatial_features(signals, directions))
        out.sum().backward()
