"""Gradient cache for contrastive batches larger than memory (Gao et al. 2021, arXiv 2101.06983).

A contrastive loss needs all embeddings of a batch at once, but not the encoder's whole graph. First, embeddings are
computed without a graph, and the loss's gradient with respect to them is stored. Then each chunk is embedded again with
its graph, and its slice of that gradient is backpropagated.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

Chunk = TypeVar("Chunk")


def cached_backward(
    embed: Callable[[Chunk], Sequence[Tensor]], chunks: Sequence[Chunk], loss: Callable[..., Tensor]
) -> Tensor:
    """Accumulates the gradients of loss(*embed(whole batch)) with the graph of only one chunk in memory.

    The gradients equal those of a single pass if rows are embedded independently of each other, unlike by BatchNorm in
    training mode: it would use the statistics of each chunk, and no number of passes gives the batch's, layer by layer.
    The second embedding reuses the random state of the first, on the CPU and on the current CUDA device, so dropout is
    the same. For mixed precision, call this function under torch.autocast.

    Args:
        embed: Maps a chunk of n rows to tensors [n, ...]; called twice per chunk.
        chunks: Parts of the batch; n may differ between them.
        loss: Maps those tensors, concatenated over all chunks along the first dimension, to a scalar. Other parameters
            that it uses, such as a temperature, receive gradients too.

    Returns:
        The loss [], detached.

    Raises:
        ValueError: If `chunks` is empty.
    """
    if not chunks:
        raise ValueError("chunks must contain at least one chunk")
    states, parts = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(_get_rng_state())
            parts.append(tuple(embed(chunk)))
    torch.clear_autocast_cache()  # its weights were cast under no_grad and would not propagate gradients
    embeddings = [torch.cat(column).requires_grad_() for column in zip(*parts, strict=True)]
    value = loss(*embeddings)
    value.backward()
    sizes = [len(part[0]) for part in parts]
    gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in embeddings]
    del parts, embeddings
    slices = zip(*(gradient.split(sizes) for gradient in gradients), strict=True)
    for chunk, state, chunk_gradients in zip(chunks, states, slices, strict=True):
        with _rng_state(state):
            outputs = tuple(embed(chunk))
        needed = [(x, gradient) for x, gradient in zip(outputs, chunk_gradients, strict=True) if x.requires_grad]
        if needed:
            torch.autograd.backward([x for x, _ in needed], [gradient for _, gradient in needed])
    return value.detach()


def _get_rng_state() -> tuple[Tensor, Tensor | None]:
    """Returns the random number state of the CPU and of the current CUDA device."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


@contextmanager
def _rng_state(state: tuple[Tensor, Tensor | None]) -> Iterator[None]:
    """Sets a saved random number state within the block and restores the current one afterwards."""
    current = _get_rng_state()
    _set_rng_state(state)
    try:
        yield
    finally:
        _set_rng_state(current)


def _set_rng_state(state: tuple[Tensor, Tensor | None]) -> None:
    """Sets the random number state."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
