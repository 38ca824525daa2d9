"""The torch library that holds the operations: `Library.define` costs a call 3 µs, the custom_op decorator 60 µs."""

from collections.abc import Callable
from typing import Any

import torch

_library = torch.library.Library("avsa_fast", "DEF")


def register(
    schema: str,
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
    setup_context: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
) -> None:
    """Defines an operation for CPU and CUDA tensors, its shapes for tracing, and its gradient."""
    name = schema.split("(")[0]
    _library.define(schema)
    _library.impl(name, kernel, "CPU")
    _library.impl(name, kernel, "CUDA")
    torch.library.register_fake(f"avsa_fast::{name}", fake, lib=_library)
    if backward is not None:
        exact = _without_autocast(backward)
        torch.library.register_autograd(f"avsa_fast::{name}", exact, setup_context=setup_context, lib=_library)


def _without_autocast(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Gradients are as exact where autograd runs within autocast, which would round products in them."""

    def run(ctx: Any, *grads: Any) -> Any:
        device = next((grad.device.type for grad in grads if grad is not None), "cpu")
        with torch.autocast(device, enabled=False):
            return backward(ctx, *grads)

    return run
