"""Batches larger than memory, by a cache of gradients (Gao et al. 2021, arXiv 2101.06983).

A contrastive loss needs all of a batch's embeddings at once, but not all of the encoder's graph: the loss's gradient in
the embeddings is found first, from embeddings made without a graph; then each chunk is embedded again, with its graph,
and its share of the gradient goes back through it.
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
    """Adds to all gradients those of loss(*embed(whole batch)), with one chunk's graph in memory; returns the loss [].

    embed: a chunk of n rows to tensors [n, ...]; chunks may differ in n. loss: those tensors of all chunks, joined
    along the first dimension, to a scalar; what it uses beside them, such as a temperature, receives its gradient too.
    Gradients equal those of one pass where rows are embedded independently of each other; batch normalisation in
    training mode takes its statistics from each chunk, and updates its running ones twice. Random numbers of the
    second embedding are those of the first, on the CPU and on the current CUDA device, so dropout is the same.
    Call it under torch.autocast where the embeddings are to be computed so. Raises ValueError for no chunks.
    """
    if not chunks:
        raise ValueError("chunks must hold at least one chunk")
    states, parts = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(_random_state())
            parts.append(tuple(embed(chunk)))
    torch.clear_autocast_cache()  # it holds weights that were cast without a graph
    embeddings = [torch.cat(column).requires_grad_() for column in zip(*parts, strict=True)]
    value = loss(*embeddings)
    value.backward()
    sizes = [len(part[0]) for part in parts]
    gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in embeddings]
    del parts, embeddings
    shares = zip(*(gradient.split(sizes) for gradient in gradients), strict=True)
    for chunk, state, share in zip(chunks, states, shares, strict=True):
        with _as_then(state):
            outputs = tuple(embed(chunk))
        needed = [(x, gradient) for x, gradient in zip(outputs, share, strict=True) if x.requires_grad]
        if needed:
            torch.autograd.backward([x for x, _ in needed], [gradient for _, gradient in needed])
    return value.detach()


def _random_state() -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


@contextmanager
def _as_then(state: tuple[Tensor, Tensor | None]) -> Iterator[None]:
    """Random numbers as they once were; afterwards as they are now."""
    now = _random_state()
    _restore(state)
    try:
        yield
    finally:
        _restore(now)


def _restore(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
