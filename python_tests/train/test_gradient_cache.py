"""Gradients of batches in chunks match those of a single pass."""

import pytest
import torch
from torch import Tensor, nn

from avsa_fast import ops
from avsa_fast.train.gradient_cache import cached_backward


class Pair(nn.Module):
    """Model with two encoders and a temperature."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = (
            nn.Sequential(nn.Linear(10, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 8)) for _ in range(2)
        )
        self.temperature = nn.Parameter(torch.tensor(0.1))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.one(rows), self.other(rows)

    def loss(self, one: Tensor, other: Tensor) -> Tensor:
        return ops.info_nce(one.float(), other.float(), temperature=self.temperature, symmetric=True)


def gradients(model: nn.Module) -> list[Tensor]:
    copies = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    return copies


@pytest.mark.parametrize("sizes", [[24], [8, 8, 8], [1, 20, 3]])
def test_gradients_match_single_pass(sizes):
    model, rows = Pair().double(), torch.randn(24, 10, dtype=torch.float64)
    expected_loss = model.loss(*model(rows))
    expected_loss.backward()
    expected = gradients(model)
    loss = cached_backward(model, rows.split(sizes), model.loss)
    torch.testing.assert_close(loss, expected_loss.detach())
    for x, y in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-9)


def test_dropout_is_the_same_in_both_passes():
    model, rows = Pair(dropout=0.5), torch.randn(24, 10)
    torch.manual_seed(1)
    parts = [model(chunk) for chunk in rows.split(8)]
    model.loss(*(torch.cat(column) for column in zip(*parts, strict=True))).backward()
    expected, after = gradients(model), torch.rand(1)
    torch.manual_seed(1)
    cached_backward(model, rows.split(8), model.loss)
    assert torch.equal(torch.rand(1), after)  # the random state afterwards is that of a single pass
    for x, y in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(x, y)


def test_autocast():
    model, rows = Pair(), torch.randn(24, 10)
    with torch.autocast("cpu", torch.bfloat16):
        model.loss(*model(rows)).backward()
        expected = gradients(model)
        cached_backward(model, rows.split(8), model.loss)
    for x, y in zip(gradients(model), expected, strict=True):
        assert (x - y).norm() <= 0.02 * y.norm()  # chunks' gradients are rounded to bfloat16 separately


def test_gradients_accumulate():
    model, rows = Pair(), torch.randn(6, 10)
    cached_backward(model, [rows], model.loss)
    once = [parameter.grad.clone() for parameter in model.parameters()]
    cached_backward(model, [rows], model.loss)
    for x, y in zip(gradients(model), once, strict=True):
        torch.testing.assert_close(x, 2 * y)


def test_frozen_encoder_gets_no_gradient():
    model, rows = Pair(), torch.randn(6, 10)
    model.other.requires_grad_(False)
    cached_backward(model, rows.split(2), model.loss)
    assert all(parameter.grad is None for parameter in model.other.parameters())
    assert model.one[0].weight.grad.any()


def test_only_one_chunk_has_a_graph_at_a_time():
    model, rows = Pair(), torch.randn(24, 10)
    alive: list[int] = []

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            alive.pop()
            return grad

    def embed(chunk: Tensor) -> tuple[Tensor, Tensor]:
        one, other = model(chunk)
        if torch.is_grad_enabled():
            assert not alive
            alive.append(len(chunk))
        return Counted.apply(one), other

    cached_backward(embed, rows.split(8), model.loss)
    assert not alive


def test_no_chunks_are_refused():
    with pytest.raises(ValueError, match="at least one chunk"):
        cached_backward(lambda chunk: (chunk,), [], lambda x: x.sum())
