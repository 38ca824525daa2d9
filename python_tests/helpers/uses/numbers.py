"""Dtypes, strides and sizes of arguments."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..operations import Call, Entry, assert_near
from .registry import NUMBERS, assert_all_near, assert_same, use

DTYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}


def _in_dtype(dtype: torch.dtype) -> Callable[[Entry, torch.device], None]:
    def run(entry: Entry, device: torch.device) -> None:
        call = entry(dtype=dtype).to(device)
        got = call.outputs()
        assert_all_near(got, call.expected_outputs(), call, Call.expected_outputs)
        if dtype == torch.float64:
            assert all(x.dtype == dtype for x in got)

    return run


for _name, _dtype in DTYPES.items():
    use(_name, NUMBERS, f"{_name} tensors", kernels=True)(_in_dtype(_dtype))


def _negated(x: Tensor) -> Tensor:
    """The same values in a view that torch negates when it is read."""
    if x.dtype not in (torch.float32, torch.float64):
        return x
    return torch.view_as_complex(torch.stack([x, -x], dim=-1)).conj().imag


def _misaligned(x: Tensor) -> Tensor:
    return torch.cat([x.new_zeros(1), x.flatten()])[1:].view(x.shape)


def _transposed(x: Tensor) -> Tensor:
    backwards = tuple(reversed(range(x.ndim)))
    return x.permute(backwards).contiguous().permute(backwards)


LAYOUTS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "expanded": ("`x[:1].expand(...)`", lambda x: x[:1].expand_as(x) if x.ndim else x),
    "flipped": ("`x.flip(0)`", lambda x: x.flip(0) if x.ndim else x),
    "transposed": ("dimensions in reverse order in memory", _transposed),
    "strided": ("every second element, `x[..., 0]`", lambda x: torch.stack([x, x], dim=-1)[..., 0]),
    "misaligned": ("an odd number of elements into their memory", _misaligned),
    "negated": ("`.conj().imag`, which torch negates when it is read", _negated),
}


def _in_layout(layout: Callable[[Tensor], Tensor]) -> Callable[[Entry, torch.device], None]:
    def run(entry: Entry, device: torch.device) -> None:
        call = entry().to(device)
        got = call.outputs(lambda **arguments: _call_of(entry, arguments, layout))
        want = call.outputs(lambda **arguments: _call_of(entry, arguments, lambda x: layout(x).contiguous().clone()))
        assert_same(got[:1], want[:1])
        assert_all_near(got[1:], want[1:], call)  # torch multiplies matrices of other strides in another order

    def _call_of(entry: Entry, arguments: dict[str, object], change: Callable[[Tensor], Tensor]) -> Tensor:
        call = entry()
        call.arguments.update(arguments)
        return call.mapped(change)()

    return run


for _name, (_text, _layout) in LAYOUTS.items():
    use(_name, NUMBERS, f"{_name} tensors: {_text}", kernels=True)(_in_layout(_layout))


@use("expanded gradient", NUMBERS, "`.sum().backward()`: an expanded gradient", differentiates=True, kernels=True)
def expanded_gradient(entry: Entry, device: torch.device) -> None:
    call = entry().to(device)
    leaves = [call.arguments[name].detach().clone().requires_grad_() for name in call.leaves]
    out = call.function(**{**call.arguments, **dict(zip(call.leaves, leaves, strict=True))})
    got = torch.autograd.grad(out.sum(), leaves, retain_graph=True)
    assert_all_near(got, torch.autograd.grad(out, leaves, torch.ones_like(out)), call)


def _empty(**zero: int) -> Callable[[Entry, torch.device], None]:
    def run(entry: Entry, device: torch.device) -> None:
        call = entry(entry.sizes._replace(**zero)).to(device)
        out, *gradients = call.outputs()
        assert_near(out, call.expected(), call)
        for leaf, gradient in zip(call.leaves, gradients, strict=True):
            assert gradient.shape == call.arguments[leaf].shape
            assert not gradient.any()

    return run


use("empty batch", NUMBERS, "a batch of size 0", kernels=True)(_empty(batch=0))
use("no views", NUMBERS, "0 directions, sources or crops", kernels=True)(_empty(views=0))
use("no samples", NUMBERS, "0 samples, frames or dimensions of rows", kernels=True)(_empty(length=0))


@use("unit sizes", NUMBERS, "sizes of 1", kernels=True)
def unit_sizes(entry: Entry, device: torch.device) -> None:
    call = entry(entry.unit).to(device)
    assert_all_near(call.outputs(), call.expected_outputs(), call, Call.expected_outputs)


@use("repeated", NUMBERS, "the same call again: the same bits", kernels=True)
def repeated(entry: Entry, device: torch.device) -> None:
    call = entry().to(device)
    first = call.outputs()
    for _ in range(5 if device.type == "cuda" else 1):
        assert_same(call.outputs(), first)
