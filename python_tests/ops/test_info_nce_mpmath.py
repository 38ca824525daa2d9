"""InfoNCE against mpmath: the loss by its definition in 60 digits, gradients by differences of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import expm1
from typing import Any

import mpmath
import pytest
import torch
from mpmath import mpf
from torch import Tensor

from avsa_fast import ops, reference

DIGITS, STEP = 60, mpf("1e-20")  # a difference over 2 STEP has an error of STEP² and of 60 - 20 digits


@pytest.fixture(autouse=True)
def _poisoned_memory() -> Iterator[None]:
    """Fills new tensors with NaN, to detect values that a kernel does not write."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@dataclass(frozen=True, eq=False)
class Case:
    """Rows query and key [N, D], made from random ones [2, N, D], the scale 1 / temperature, and options."""

    N: int
    D: int
    scale: float
    rows: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda query, key: (query, key + query)
    options: dict[str, Any] = field(default_factory=dict)

    def tensors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and temperature: numbers of few bits, the same in every dtype, not 0."""
        generator = torch.Generator().manual_seed(self.N + 100 * self.D)
        sixteenths = 2 * torch.randn(2, self.N, self.D, dtype=torch.float64, generator=generator).mul(8).round() + 1
        query, key = self.rows(*sixteenths / 16)
        temperature = torch.tensor(1 / self.scale, dtype=torch.float32)
        return query.to(dtype), key.to(dtype), temperature.to(torch.promote_types(dtype, torch.float32))


def aligned(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    axes = torch.eye(len(query), query.shape[1], dtype=query.dtype) + query / 8
    return axes, 4 * axes


def antipodal(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    return query, -query / 2


def duplicate(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    return query[[0, 1, 0, 0]], key[[0, 0, 0, 3]]


def with_zeros(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    return query * torch.tensor([1, 0, 1, 0])[:, None], key * torch.tensor([1, 0, 0, 1])[:, None]


def same_sign(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    return query.abs(), key.abs()


def sized(exponent: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Queries of about this power of 2, and keys of its inverse."""
    return lambda query, key: (query * 2.0**exponent, (key + query) * 2.0**-exponent)


BOTH, JOINT = {"symmetric": True}, {"negatives": "joint", "crops": 2}
CASES = {
    "one pair": Case(1, 4, 40),
    "all cosines 1": Case(2, 1, 1, same_sign, BOTH),
    "all cosines 1, one way": Case(2, 1, 100, same_sign),
    "cosines 1 and -1": Case(5, 1, 14.3),
    "one way": Case(3, 3, 14.3),
    "both ways": Case(3, 3, 14.3, options=BOTH),
    "joint, one way": Case(4, 2, 14.3, options=JOINT),
    "joint, both ways": Case(6, 2, 14.3, options=JOINT | BOTH),
    "joint, one clip": Case(2, 2, 5, options=JOINT | BOTH),
    "at the running maximum": Case(4, 2, 40, antipodal, BOTH),
    "above the running maximum": Case(4, 2, 40.1, options=BOTH),
    "aligned": Case(3, 3, 80, aligned, BOTH),
    "aligned, loss below float32's numbers": Case(3, 3, 1000, aligned),
    "antipodal": Case(4, 2, 100, antipodal, BOTH),
    "duplicate rows": Case(4, 3, 40, duplicate, BOTH),
    "rows of zeros": Case(4, 3, 14.3, with_zeros, BOTH),
    "rows of zeros, joint": Case(4, 3, 14.3, with_zeros, JOINT),
    "hot": Case(3, 2, 1e-4, options=BOTH),
    "cold": Case(3, 2, 1e4, options=BOTH),
    "short and long rows": Case(3, 2, 14.3, sized(-50), BOTH),
    "long and short rows": Case(3, 2, 14.3, sized(60), BOTH),
    "squares out of float32's range": Case(3, 2, 14.3, sized(-100), BOTH),
}
FLOAT64_CASES = {
    "aligned, loss below float64's numbers": Case(3, 3, 2e4, aligned),
    "colder": Case(3, 2, 1e7, options=BOTH),
    "hotter": Case(3, 2, 1e-9, options=BOTH),
    "squares out of range": Case(3, 2, 14.3, sized(-664), BOTH),
    "squares out of range, keys short": Case(3, 2, 14.3, sized(531), BOTH),
}


@dataclass(frozen=True)
class Expected:
    """What mpmath computes for a case, and what the bounds are made of."""

    loss: float
    query: Tensor
    key: Tensor
    temperature: float
    weights: Tensor  # [N, N]: magnitudes of the weights of pairs of rows in the gradient


@cache
def expected(case: Case) -> Expected:
    with mpmath.workdps(DIGITS):
        tensors = case.tensors(torch.float64)
        query, key = ([[mpf(x) for x in row] for row in rows.tolist()] for rows in tensors[:2])
        temperature = mpf(tensors[2].item())
        sides = competitors(query, key, temperature, case.options)
        count = case.N * len(sides)

        def losses() -> list[mpf]:
            sides = competitors(query, key, temperature, case.options)
            return [mpmath.log1p(mpmath.fsum(row)) for side in sides for row in side]

        def slopes(rows: list[list[mpf]]) -> Tensor:
            out = torch.zeros(case.N, case.D, dtype=torch.float64)
            for i, d in product(range(case.N), range(case.D)):
                at, step = rows[i][d], STEP * mpmath.norm(rows[i])
                if step:  # a row of zeros has gradient 0 by definition
                    rows[i][d] = at + step
                    above = losses()
                    rows[i][d] = at - step
                    out[i, d] = slope(above, losses(), step)
                    rows[i][d] = at
            return out

        def slope(above: list[mpf], below: list[mpf], step: mpf) -> float:
            """Of the mean; the losses are subtracted one by one, because some are smaller than the digits of others."""
            return float(mpmath.fsum(a - b for a, b in zip(above, below, strict=True)) / (2 * step * count))

        weights = torch.zeros(case.N, case.N, dtype=torch.float64)
        for side, rows in enumerate(sides):
            for i, row in enumerate(rows):
                share = torch.tensor([float(x / (1 + mpmath.fsum(row))) for x in row], dtype=torch.float64)
                (weights[:, i] if side else weights[i]).add_(share)
                weights[i, i] += share.sum()
        loss, of_query, of_key = float(mpmath.fsum(losses()) / count), slopes(query), slopes(key)
        at, step = temperature, STEP * temperature
        temperature = at + step
        above = losses()
        temperature = at - step
        return Expected(loss, of_query, of_key, slope(above, losses(), step), weights / len(sides))


def competitors(query: list[list[mpf]], key: list[list[mpf]], temperature: mpf, options: dict[str, Any]) -> list[Any]:
    """exp((cosine - pair's cosine) / temperature) of each row's competitors, 0 for others: a matrix per direction."""
    crops, joint = options.get("crops", 1), options.get("negatives") == "joint"
    lengths = [[mpmath.norm(row) for row in rows] for rows in (query, key)]

    def cosine(i: int, j: int) -> mpf:
        both = lengths[0][i] * lengths[1][j]
        return mpmath.fdot(query[i], key[j]) / both if both else mpf(0)

    def competes(i: int, j: int) -> bool:
        return i != j and (not joint or i // crops == j // crops or i % crops == j % crops)

    every = range(len(query))
    cosines = [[cosine(i, j) for j in every] for i in every]
    sides = [cosines, list(map(list, zip(*cosines, strict=True)))] if options.get("symmetric") else [cosines]
    return [
        [[mpmath.exp((side[i][j] - side[i][i]) / temperature) if competes(i, j) else mpf(0) for j in every]
         for i in every] for side in sides
    ]  # fmt: skip


def assert_as_expected(got: list[Tensor], case: Case, dtype: torch.dtype) -> None:
    """Asserts that loss and gradients (of 1.5 times the loss) are within rounding errors.

    A unit row has the roundings of its norm, half of D + 2, and 2 more; a cosine those of two rows and of D products
    and sums: 2D + 8. An exponent, scale times a difference of two of them, also rounds scale, product and difference
    twice: (4D + 24) scale. A weight is a quotient of exponentials, twice, with N sums and 4 roundings of each function.
    It multiplies unit rows and cosines, in sums over N. Weights, and the loss, below the smallest normal number are 0.
    """
    want, float64 = expected(case), dtype == torch.float64
    u, tiny = (2.0**-53, 2.0**-1022) if float64 else (2.0**-24, 2.0**-126)
    N, D, scale = case.N, case.D, case.scale
    exponent = (4 * D + 24) * scale * u
    elsewhere = (2 * N + 4 * D + 24) * u
    # A loss changes with its exponents by the weights of its competitors; half of all weights are those of pairs.
    in_loss = float(want.weights.sum()) / 2 / N * expm1(exponent)
    torch.testing.assert_close(got[0].item(), want.loss, rtol=elsewhere, atol=in_loss + tiny)
    terms = 1.5 * scale / N * (want.weights * (expm1(2 * exponent) + elsewhere) + tiny)
    query, key, _ = (x.double() for x in case.tensors(dtype))
    half = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}.get(dtype, 0.0)  # rounding of the result
    for name, x, y, rows, limit in (
        ("query", got[1], 1.5 * want.query, query, terms.sum(1)),
        ("key", got[2], 1.5 * want.key, key, terms.sum(0)),
    ):
        scaled = rows / rows.abs().amax(1, keepdim=True).clamp_min(2.0**-1022)  # whose squares do not overflow
        length = scaled.norm(dim=1) * rows.abs().amax(1)
        error = (x - y).abs().amax(1)
        bound = torch.where(length > 0, limit / length, 0) + half * y.abs().amax(1) + (half > 0) * 2.0**-25
        assert (error <= bound).all(), f"gradient of {name}: {error.tolist()} above {bound.tolist()}"
    error = abs(got[3].item() - 1.5 * want.temperature)
    assert error <= scale * terms.sum().item(), f"gradient of temperature: {error} above {scale * terms.sum().item()}"


def gradients_of(function: Callable[..., Tensor], case: Case, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    query, key, temperature = case.tensors(dtype)
    leaves = [x.to(device).requires_grad_() for x in (query, key, temperature)]
    loss = function(leaves[0], leaves[1], temperature=leaves[2], **case.options)
    grads = torch.autograd.grad(1.5 * loss, leaves)
    return [x.detach().double().cpu() for x in (loss, *grads)]


@pytest.mark.parametrize("name", CASES | FLOAT64_CASES)
def test_float64_matches_mpmath(kernel_device: torch.device, name: str) -> None:
    case = (CASES | FLOAT64_CASES)[name]
    assert_as_expected(gradients_of(ops.info_nce, case, torch.float64, kernel_device), case, torch.float64)


@pytest.mark.parametrize("name", CASES)
def test_float32_matches_mpmath(kernel_device: torch.device, name: str) -> None:
    case = CASES[name]
    assert_as_expected(gradients_of(ops.info_nce, case, torch.float32, kernel_device), case, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["joint, both ways", "aligned", "antipodal", "rows of zeros"])
def test_half_precision_matches_mpmath(kernel_device: torch.device, name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    assert_as_expected(gradients_of(ops.info_nce, case, dtype, kernel_device), case, dtype)


@pytest.mark.parametrize("name", CASES | FLOAT64_CASES)
def test_reference_matches_mpmath(name: str) -> None:
    case = (CASES | FLOAT64_CASES)[name]
    got = gradients_of(reference.info_nce, case, torch.float64, torch.device("cpu"))
    assert_as_expected(got, case, torch.float64)
