"""InfoNCE on matrix units and in bfloat16, compared with the reference, the plain kernels and each other."""

from collections.abc import Iterator
from itertools import pairwise, product

import pytest
import torch
from helpers.info_nce import gradients, rows
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.ops._info_nce_blocks import Options, Rows, accumulate_gradients, initial_sums, prepare, row_losses, scan


@pytest.fixture(autouse=True)
def _poisoned_memory() -> Iterator[None]:
    """Fills new tensors with NaN, to detect values that a kernel does not write."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.02), ("tf32", 2e-3), ("3xtf32", 1e-5)])
def test_reduced_precisions(kernel_device, precision, tolerance):
    for N, D, options in (
        (65, 33, {"symmetric": True}),
        (1, 3, {}),
        (5, 150, {}),
        (60, 7, {"negatives": "joint", "crops": 5, "symmetric": True}),
    ):
        query, key = rows(N, D, kernel_device)
        got = gradients(ops.info_nce, query, key, 0.07, precision=precision, **options)
        want = gradients(ops.info_nce, query, key, 0.07, **options)
        *rows_got, slope_got = got
        *rows_want, slope_want = want
        for x, y in zip(rows_got, rows_want, strict=True):
            assert (x - y).norm() <= tolerance * y.norm()
        # The temperature's gradient is a difference of cosines times s²: 6 sigma of its error from rounded rows.
        assert (slope_got - slope_want).abs() <= tolerance * max(slope_want.abs(), 0.025 / 0.07**2)
        again = gradients(ops.info_nce, query, key, 0.07, precision=precision, **options)
        assert all(torch.equal(x, y) for x, y in zip(got, again, strict=True))


# Per kernel: single and multiple tiles, full and partial; the max number of dimensions, and rows of 128 bytes.
@pytest.mark.parametrize(
    ("precision", "N", "D", "scale", "tolerance"),
    [
        pytest.param("bf16", 300, 128, 14.3, 0.02, marks=pytest.mark.slow),
        pytest.param("bf16", 130, 300, 14.3, 0.02, marks=pytest.mark.slow),
        pytest.param("3xtf32", 70, 200, 14.3, 1e-5, marks=pytest.mark.slow),
        ("bf16", 140, 128, 60, 0.02), ("bf16", 33, 512, 60, 0.02), ("bf16", 64, 64, 14.3, 0.02),
        ("tf32", 150, 96, 14.3, 2e-3), ("tf32", 70, 256, 60, 2e-3), ("3xtf32", 150, 32, 60, 2e-5),
    ],
)  # fmt: skip
def test_matrix_units(kernel_device, monkeypatch, precision, N, D, scale, tolerance):
    monkeypatch.setenv("AVSA_WGMMA", "0")
    query, key = rows(N, D, kernel_device)
    assert_matches_exact(query, key, scale, tolerance, precision=precision)


@pytest.mark.parametrize(
    ("N", "D", "scale", "crops"),
    [
        (1, 100, 14.3, 1), (129, 70, 60, 1), (140, 33, 14.3, 1), (130, 64, 60, 1), (132, 160, 60, 11),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (520, 128, 14.3, 1), (300, 128, 60, 1), (260, 256, 14.3, 1), (128, 200, 60, 1), (130, 150, 14.3, 1),
                (270, 512, 14.3, 1), (140, 300, 60, 1), (130, 450, 60, 1), (129, 384, 14.3, 1),
                (300, 128, 14.3, 4), (135, 100, 60, 5), (260, 40, 14.3, 130), (132, 512, 60, 4),
            )
        ),
    ],
)  # fmt: skip
def test_wgmma(kernel_device, monkeypatch, request, N, D, scale, crops):
    if request.node.callspec.params["kernel_device"] == "cpu":
        pytest.skip("of GPUs")
    if kernel_device.type == "cuda" and torch.cuda.get_device_capability()[0] != 9:
        pytest.skip("no Hopper GPU")
    query, key = rows(N, D, kernel_device)
    options = {"negatives": "joint" if crops > 1 else "all", "crops": crops}
    monkeypatch.setenv("AVSA_WGMMA", "0")
    plain = gradients(ops.info_nce, query, key, 1 / scale, symmetric=True, precision="bf16", **options)
    monkeypatch.setenv("AVSA_WGMMA", "1")
    got = assert_matches_exact(query, key, scale, 0.02, precision="bf16", **options)
    # The same rounded numbers are summed in a different order, so results agree within float rounding. The gradient of
    # the temperature is a sum of differences of cosines, up to 2, times s².
    for x, y, terms in zip(got, plain, (0.0, 0.0, 0.0, 2 * scale**2), strict=True):
        assert (x - y).norm() <= 1e-4 * y.norm() + 1e-6 + 16 * 2.0**-24 * terms
    if N > 1:
        assert not all(torch.equal(x, y) for x, y in zip(got, plain, strict=True)), "wgmma was not used"


def assert_matches_exact(
    query: Tensor, key: Tensor, scale: float, tolerance: float, precision: str, **competitors: str | int
) -> list[Tensor]:
    """Asserts that symmetric loss and gradients are close to the reference, and the same in two runs; returns them."""
    options = {"symmetric": True, "precision": precision} | competitors
    got = gradients(ops.info_nce, query, key, 1 / scale, **options)
    exact = query.cpu().double(), key.cpu().double()
    want = gradients(reference.info_nce, *exact, 1 / scale, symmetric=True, **competitors)
    for x, y in zip(got[:3], want[:3], strict=True):
        assert (x - y).norm() <= tolerance * y.norm()
    # A difference of cosines times s²: 6 sigma of its error from rounded rows.
    assert (got[3] - want[3]).abs() <= tolerance * max(want[3].abs(), 0.025 * scale**2)
    again = gradients(ops.info_nce, query, key, 1 / scale, **options)
    assert all(torch.equal(x, y) for x, y in zip(got, again, strict=True))
    return got


@pytest.mark.parametrize(("precision", "wgmma"), [("fp32", False), ("3xtf32", False), ("bf16", False), ("bf16", True)])
def test_results_do_not_depend_on_blocks(kernel_device, precision, wgmma):
    """Rows processed in blocks of different sizes, as by ranks, give the same sums and gradients as all at once."""
    N, D, cuts = 150, 70, (0, 20, 20, 150)
    query, key = rows(N, D, kernel_device)
    options = Options(torch.tensor(14.25, dtype=torch.float64, device=kernel_device), True, 1, precision, wgmma)
    statistics = prepare(query, key)
    whole = Rows(query, statistics[0]), Rows(key, statistics[1])
    sums = [initial_sums(N, options.scale) for _ in range(2)]
    scan(*whole, options, *sums)
    row_losses(statistics, *sums, options)
    grads = [torch.zeros_like(query) for _ in range(2)]
    accumulate_gradients(*whole, options, *grads)
    parts, part_grads = [initial_sums(N, options.scale) for _ in range(2)], [torch.zeros_like(query) for _ in range(2)]
    for i, j in product(pairwise(cuts), pairwise(cuts)):
        block = (
            Rows(query[slice(*i)], statistics[0, slice(*i)], i[0]),
            Rows(key[slice(*j)], statistics[1, slice(*j)], j[0]),
        )
        scan(*block, options, parts[0][slice(*i)], parts[1][slice(*j)])
        accumulate_gradients(*block, options, part_grads[0][slice(*i)], part_grads[1][slice(*j)])
    for got, want in zip((*parts, *part_grads), (*sums, *grads), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6 * want.abs().max().item())
