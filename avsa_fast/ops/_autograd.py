"""Gradients of operations whose backward pass is the reference's, run again."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor | None], needed: Sequence[bool], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of function(*inputs) for the needed inputs, else None; differentiable again where torch asks."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        wanted = [x for x, need in zip(inputs, needed, strict=True) if x is not None and need]
        found = iter(torch.autograd.grad(function(*inputs), wanted, grad, create_graph=again))
    return tuple(next(found) if need else None for need in needed)
