"""Activation checkpointing of blocks that contain BatchNorm."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_recomputed(blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Applies blocks, of which the backward pass recomputes each from its input, which alone is kept.

    Each block is recomputed for the whole batch, so BatchNorm uses the same statistics again; its running statistics
    are updated once.

    Args:
        blocks: Blocks without random numbers, in order.
        x: Input of the first block, the whole batch.

    Returns:
        Output of the last block.
    """
    for block in blocks:
        x = _recomputed(block, x) if torch.is_grad_enabled() else block(x)
    return x


def _recomputed(block: nn.Module, x: Tensor) -> Tensor:
    output: Tensor = checkpoint(
        block, x, use_reentrant=False, preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _without_updates(block)),
    )  # fmt: skip
    return output


@contextmanager
def _without_updates(block: nn.Module) -> Iterator[None]:
    """Context in which BatchNorm keeps its running statistics, but saves the same tensors for the backward pass."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
