"""Rows for tests of InfoNCE, and its loss and gradients beside the reference's."""

import torch
from torch import Tensor

from avsa_fast import ops, reference


def rows(N: int, D: int, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Pairs that are alike to different degrees, of lengths from 0.05 to 20."""
    query = torch.randn(N, D, dtype=torch.float64)
    key = query * torch.rand(N, 1) + torch.randn(N, D)
    lengths = torch.exp(6 * torch.rand(2, N, 1) - 3)
    return (query * lengths[0]).to(device, dtype), (key * lengths[1]).to(device, dtype)


def gradients(function, query: Tensor, key: Tensor, temperature: float, **options) -> list[Tensor]:
    """Loss, and 1.5 times its gradients by query, key and temperature, in float64 on the CPU."""
    leaves = [x.detach().clone().requires_grad_() for x in (query, key, query.new_tensor(temperature))]
    loss = function(leaves[0], leaves[1], temperature=leaves[2], **options)
    (1.5 * loss).backward()
    return [loss.detach().double().cpu(), *(leaf.grad.double().cpu() for leaf in leaves)]


def assert_like_reference(query: Tensor, key: Tensor, scale: float, **options) -> None:
    got = gradients(ops.info_nce, query, key, 1 / scale, **options)
    # The temperature as float32 rounds it.
    temperature = query.new_tensor(1 / scale).item()
    want = gradients(reference.info_nce, query.cpu().double(), key.cpu().double(), temperature, **options)
    torch.testing.assert_close(got[0], want[0], rtol=1e-5, atol=1e-6)
    # Where all cosines are alike, rounded weights leave a little of scale² in the temperature's gradient.
    for name, x, y, floor in zip(
        ("query", "key", "temperature"), got[1:], want[1:], (1e-10 * scale, 1e-10 * scale, 6e-8 * scale**2), strict=True
    ):
        assert (x - y).norm() <= 1e-4 * y.norm() + floor, f"gradient of {name}"
