"""Registers gradients of operations so that torch.func's transforms find them too."""

from collections.abc import Callable
from typing import Any

import torch
from torch._functorch.utils import enable_single_level_autograd_function
from torch._library.autograd import Info, make_autograd_impl
from torch.autograd.forward_ad import _set_fwd_grad_enabled
from torch.autograd.function import _SingleLevelFunction


def register_autograd(
    library: torch.library.Library, operation: Any, set_up: Callable[..., None], differentiate: Callable[..., Any]
) -> None:
    """Registers gradients as torch.library.register_autograd does, whose own are an error within torch.func.grad.

    Each transform of torch.func is a level, and calls the operation's autograd kernel. As those of torch's operations,
    it records the operation for this level only, then calls the operation for the levels outside.
    """
    plain = make_autograd_impl(operation, Info(differentiate, set_up))

    class Level(_SingleLevelFunction):
        """The operation, recorded for one level."""

        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            *args, keyset = inputs
            # A forward runs without grad mode, which the levels outside need.
            with torch.enable_grad(), _set_fwd_grad_enabled(True), torch._C._AutoDispatchBelowAutograd():
                output = operation.redispatch(keyset & torch._C._after_autograd_keyset, *args)
            set_up(ctx=ctx, inputs=tuple(args), output=output)
            return output

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return *differentiate(ctx, *grads), None

    def kernel(keyset: Any, *args: Any) -> Any:
        within_func = torch._C._are_functorch_transforms_active()
        if within_func and torch.is_grad_enabled() and torch._C._any_requires_grad(*args):
            with enable_single_level_autograd_function():
                return Level.apply(*args, keyset)  # type: ignore[attr-defined]  # torch declares no types here
        return plain(keyset, *args)

    library.impl(operation._schema.name.removeprefix("avsa_fast::"), kernel, "Autograd", with_keyset=True)
