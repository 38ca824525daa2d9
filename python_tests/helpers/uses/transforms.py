"""Derivatives of higher order and other modes, functions of torch.func, and recomputation."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from avsa_fast import reference

from .. import operations
from ..operations import Call, Entry, factors
from .registry import TRANSFORMS, assert_all_near, assert_same, use


def _of_leaves(call: Call, function: Callable[..., Tensor] | None = None) -> Callable[..., Tensor]:
    """The call as a function of its leaves."""
    function = function or call.function
    return lambda *leaves: function(**{**call.arguments, **dict(zip(call.leaves, leaves, strict=True))})


def _leaves(call: Call) -> list[Tensor]:
    return [call.arguments[name].detach().clone() for name in call.leaves]


def _loss(call: Call) -> Callable[..., Tensor]:
    """The product of the result with the factors of Call.outputs, as a function of the leaves."""
    function = _of_leaves(call)

    def loss(*leaves: Tensor) -> Tensor:
        out = function(*leaves)
        return (out * factors(out)).sum()

    return loss


@use("vmap", TRANSFORMS, "`torch.vmap` over calls")
def vmap(entry: Entry, device: torch.device) -> None:
    calls = [entry().to(device) for _ in range(2)]
    want = torch.stack([call() for call in calls])
    for dim in (0, -1):
        stacked = [torch.stack(pair, dim) for pair in zip(*(call.tensors for call in calls), strict=True)]
        got = torch.vmap(lambda *tensors: calls[0].with_tensors(tensors)(), in_dims=dim)(*stacked)
        assert_all_near([got], [want], calls[0])


@use("func.grad", TRANSFORMS, "`torch.func.grad`", differentiates=True)
def func_grad(entry: Entry, device: torch.device) -> None:
    call = entry().to(device)
    got = torch.func.grad(_loss(call), argnums=tuple(range(len(call.leaves))))(*_leaves(call))
    assert_same(got, call.outputs()[1:])


@use("vmap of grad", TRANSFORMS, "`torch.vmap` of `torch.func.grad`: gradients per call", differentiates=True)
def vmap_of_grad(entry: Entry, device: torch.device) -> None:
    calls = [entry().to(device) for _ in range(2)]
    want = [torch.stack(pair) for pair in zip(*(call.outputs()[1:] for call in calls), strict=True)]
    first = calls[0]

    def loss(leaves: tuple[Tensor, ...], tensors: tuple[Tensor, ...]) -> Tensor:
        return _loss(first.with_tensors(tensors))(*leaves)

    stacked = tuple(torch.stack(pair) for pair in zip(*(call.tensors for call in calls), strict=True))
    leaves = tuple(torch.stack(pair) for pair in zip(*map(_leaves, calls), strict=True))
    assert_all_near(torch.vmap(torch.func.grad(loss))(leaves, stacked), want, first)


def _draw_like(tensors: list[Tensor]) -> tuple[Tensor, ...]:
    return tuple(torch.randn_like(x) for x in tensors)


@use(
    "jvp",
    TRANSFORMS,
    "`torch.func.jvp`, `torch.autograd.forward_ad`",
    refused="the operations of avsa_fast have no forward-mode derivatives",
    differentiates=True,
)
def jvp(entry: Entry, device: torch.device) -> None:
    """A product with the Jacobian on the right, against that on the left by the reference."""
    call = entry(dtype=entry.widest).to(device)
    leaves = _leaves(call)
    tangents = _draw_like(leaves)
    got = torch.func.jvp(_of_leaves(call), tuple(leaves), tangents)[1]
    gradients = call.expected_outputs()[1:]
    want = [(g * t.cpu()).sum() for g, t in zip(gradients, tangents, strict=True)]
    largest = torch.stack([x.abs() for x in want]).max()
    got_product = (got * factors(got)).sum().cpu()
    # The tolerance is relative to the largest term, of which there are as many as values.
    terms = max(got.numel(), 1) ** 0.5
    assert (got_product - sum(want)).abs() <= terms * operations.tolerance(call, got.dtype) * largest


@use(
    "double backward", TRANSFORMS, "second derivatives: `create_graph=True`, then `backward` again", differentiates=True
)
def double_backward(entry: Entry, device: torch.device) -> None:
    """The gradient of a fixed product with the first gradients, in all arguments and in the incoming gradient."""
    call = entry(dtype=entry.widest).to(device)
    tangents = _draw_like(_leaves(call))
    got = _second(_of_leaves(call), _leaves(call), tangents)
    function = getattr(reference, call.operation)

    def expected(call: Call) -> list[Tensor]:
        return _second(_of_leaves(call, function), _leaves(call), tuple(x.cpu() for x in tangents))

    # Each term has a factor from the first derivative too, and so twice as many roundings.
    assert_all_near(got, expected(call.exact()), replace(call, roundings=2 * call.roundings), expected)


def _second(function: Callable[..., Tensor], leaves: list[Tensor], tangents: tuple[Tensor, ...]) -> list[Tensor]:
    inputs = [x.requires_grad_() for x in leaves]
    out = function(*inputs)
    incoming = factors(out).requires_grad_()
    first = torch.autograd.grad(out, inputs, incoming, create_graph=True)
    product = torch.stack([(g * t).sum() for g, t in zip(first, tangents, strict=True)]).sum()
    found = torch.autograd.grad(product, [*inputs, incoming], allow_unused=True)
    # Of functions linear in an argument, torch leaves the second derivative out.
    return [torch.zeros_like(x) if g is None else g for x, g in zip([*inputs, incoming], found, strict=True)]


@use("checkpoint", TRANSFORMS, "`torch.utils.checkpoint`", differentiates=True)
def checkpointed(entry: Entry, device: torch.device) -> None:
    call = entry().to(device)
    plain = call.outputs()
    for reentrant in (False, True):
        leaves = [leaf.requires_grad_() for leaf in _leaves(call)]
        out = checkpoint(_of_leaves(call), *leaves, use_reentrant=reentrant)
        out.backward(factors(out))
        gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
        assert_same([out.detach(), *gradients], plain)
