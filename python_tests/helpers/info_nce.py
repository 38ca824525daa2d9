"""Helpers for tests of InfoNCE: random rows, and comparison of loss and gradients with the reference."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.reference.info_nce import unit_rows

UNIT_ROUNDOFF, SMALLEST_NORMAL = 2.0**-24, 2.0**-126  # of float32


def rows(N: int, D: int, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Random pairs of rows [N, D] with different similarities, and norms that vary by a factor of 400."""
    query = torch.randn(N, D, dtype=torch.float64)
    key = query * torch.rand(N, 1) + torch.randn(N, D)
    lengths = torch.exp(6 * torch.rand(2, N, 1) - 3)
    return (query * lengths[0]).to(device, dtype), (key * lengths[1]).to(device, dtype)


def gradients(
    function: Callable[..., Tensor], query: Tensor, key: Tensor, temperature: float, **options: Any
) -> list[Tensor]:
    """Returns the loss, and the gradients of 1.5 times the loss with respect to query, key and temperature."""
    leaves = [x.detach().clone().requires_grad_() for x in (query, key, query.new_tensor(temperature))]
    loss = function(leaves[0], leaves[1], temperature=leaves[2], **options)
    grads = torch.autograd.grad(1.5 * loss, leaves)
    return [loss.detach().double().cpu(), *(grad.double().cpu() for grad in grads)]


def assert_matches_reference(query: Tensor, key: Tensor, scale: float, **options: Any) -> None:
    """Asserts that loss and gradients of float32 rows match the reference within rounding errors."""
    got = gradients(ops.info_nce, query, key, 1 / scale, **options)
    # The temperature rounded to float32.
    temperature = query.new_tensor(1 / scale).item()
    exact = query.cpu().double(), key.cpu().double()
    want = gradients(reference.info_nce, *exact, temperature, **options)
    torch.testing.assert_close(got[0], want[0], rtol=1e-5, atol=1e-6)
    bounds = gradient_bounds(*exact, scale, **options)
    for name, x, y, bound in zip(("query", "key", "temperature"), got[1:], want[1:], bounds, strict=True):
        assert (x - y).norm() <= bound, f"gradient of {name}"


def gradient_bounds(
    query: Tensor, key: Tensor, scale: float, symmetric: bool = False, negatives: str = "all", crops: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns bounds on the errors of float32 gradients: norms for query and key, and a value for the temperature.

    A gradient is a sum of weights times cosines or unit rows. Its terms cancel, to 0 if all cosines are equal or all
    rows are parallel, so its error is relative to the terms and not to the sum. The bounds count rounding errors, in
    units of roundoff relative to each term:

    - In the exponent, scale * (cosine - pair's cosine): a unit row has 2 (1 / norm, product), so a cosine has 4, and
      2 √D for its sum, because roundings have either sign. This is multiplied by the scale. The scale, the product and
      the difference are rounded too, for numbers up to 2 * scale: in total (2 √D + 9) * scale. The error enters
      twice, through the weight and the loss, which use the same cosines. The changed weights still sum to the pair's
      weight, so the temperature's gradient changes by differences of cosines only, and a row's gradient by the
      components of other rows that are orthogonal to it. The bound is limited to 1e-4.
    - Elsewhere: 2 * scale if product and difference of the two exponents are rounded separately, two exponentials of
      4 each, two sums of N, and 9 for unit rows, factors and the sum of both sides: 2 * scale + 4 √N + 17.

    Weights below the smallest normal float32 may be 0.
    """
    N, D = query.shape
    in_exponent = min(2 * (2 * D**0.5 + 9) * scale * UNIT_ROUNDOFF, 1e-4)
    elsewhere = (2 * scale + 4 * N**0.5 + 17) * UNIT_ROUNDOFF
    row = torch.arange(N)
    own, clip, crop = row[:, None] == row, row // crops, row % crops
    compete = (clip[:, None] == clip) | (crop[:, None] == crop) | (negatives == "all")
    cosines = unit_rows(query) @ unit_rows(key).mT
    pairs = cosines.diagonal()[:, None]

    def chosen(cosines: Tensor) -> Tensor:
        """Weights [N, N] of each row's candidates in its loss gradient; the pair's weight is minus their sum."""
        weights = (scale * cosines).masked_fill(~compete, -torch.inf).softmax(1).masked_fill(own, 0)
        return weights + SMALLEST_NORMAL / elsewhere

    sides = [chosen(cosines), chosen(cosines.mT)] if symmetric else [chosen(cosines)]
    factor = 1.5 * scale / max(N * len(sides), 1)  # 1.5: the factor in `gradients`
    both = [side + torch.diag(side.sum(1)) for side in sides]  # including the pairs' weights
    weights = both[0] + both[1].mT if symmetric else both[0]
    spread = sum((side * (c - pairs).abs()).sum() for side, c in zip(sides, (cosines, cosines.mT), strict=False))
    terms = factor * weights * (elsewhere + in_exponent * (1 - cosines.square()).clamp_min(0).sqrt())
    lengths = [torch.where(x.norm(dim=1) > 0, x.norm(dim=1), torch.inf) for x in (query, key)]
    of_query, of_key = (terms.sum(1) / lengths[0]).norm(), (terms.sum(0) / lengths[1]).norm()
    of_scale = factor * (elsewhere * (weights * cosines.abs()).sum() + in_exponent * spread)
    return of_query, of_key, scale * of_scale
