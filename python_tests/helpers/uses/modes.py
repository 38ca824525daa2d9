"""Settings of torch that are in force around a call, and must change nothing then or later."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from ..operations import Entry
from .registry import SETTINGS, assert_same, forget, use


def _unchanged_within(*settings: Callable[[torch.device], AbstractContextManager[None]]) -> Callable[..., None]:
    """Asserts that results are those without the setting, also in later calls."""

    def run(entry: Entry, device: torch.device) -> None:
        call = entry().to(device)
        plain = call.outputs()
        for setting in settings:
            forget()
            with setting(device):
                assert_same(call.outputs(), plain)
            assert_same(call.outputs(), plain)

    return run


def _autocast(dtype: torch.dtype) -> Callable[[torch.device], AbstractContextManager[None]]:
    return lambda device: torch.autocast(device.type, dtype)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _default_device(device: str) -> Iterator[None]:
    before = torch.get_default_device()
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None if before.type == "cpu" else before)


use("autocast", SETTINGS, "within `torch.autocast`")(
    _unchanged_within(_autocast(torch.bfloat16), _autocast(torch.float16))
)
use("default dtype", SETTINGS, "after `torch.set_default_dtype`")(
    _unchanged_within(
        lambda _: _default_dtype(torch.bfloat16),
        lambda _: _default_dtype(torch.float16),
        lambda _: _default_dtype(torch.float64),
    )
)
use("default device", SETTINGS, "after `torch.set_default_device`")(
    _unchanged_within(lambda _: _default_device("meta"))
)


@use("inference_mode", SETTINGS, "within `torch.inference_mode`, then trained with")
def inference_mode(entry: Entry, device: torch.device) -> None:
    call = entry().to(device)
    plain = call.outputs()
    forget()
    with torch.inference_mode():
        got = call(), call.mapped(torch.clone)()
    assert_same(got, (plain[0], plain[0]))
    assert_same(call.outputs(), plain)


@use("no_grad", SETTINGS, "within `torch.no_grad`, of arguments that require gradients")
def no_grad(entry: Entry, device: torch.device) -> None:
    call = entry().to(device)
    plain = call.outputs()
    forget()
    with torch.no_grad():
        got = call.mapped(lambda x: x.clone().requires_grad_() if x.is_floating_point() else x)()
    assert not got.requires_grad
    assert_same([got], plain[:1])
    assert_same(call.outputs(), plain)
