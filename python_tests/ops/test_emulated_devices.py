"""CUDA kernels on emulated devices: shared memory of every architecture, and threads in any order."""

from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from helpers.info_nce import gradients, rows
from helpers.operations import CALLS
from torch import Tensor

from avsa_fast import ops, reference

pytestmark = pytest.mark.parametrize("kernel_device", ["emulated"], indirect=True)
ARCHITECTURES = (80, 86, 89, 90, 120)
ASCENDING, DESCENDING, RANDOM = range(3)


@pytest.fixture
def device(kernel_device: torch.device, emulated_module: ModuleType) -> Iterator[ModuleType]:
    """The emulated device, reset after the test."""
    yield emulated_module
    emulated_module.emulate_architecture(90)
    emulated_module.emulate_order(ASCENDING)


@pytest.mark.parametrize("spatial", ["iv", None])
def test_features_of_1024_samples_fit_every_architecture(device: ModuleType, spatial: str | None) -> None:
    """FOA and IV take 125 KB if all values of a bin are in shared memory, but an architecture may have 99."""
    signals, directions = torch.randn(4, 1500), torch.rand(2, 2)
    found = []
    for architecture in ARCHITECTURES:
        assert device.emulate_architecture(architecture)
        found.append(ops.spatial_features(signals, directions, n_fft=1024, n_mels=64, spatial=spatial))
    want = reference.spatial_features(signals.double(), directions.double(), n_fft=1024, n_mels=64, spatial=spatial)
    torch.testing.assert_close(found[0].double(), want, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize(
    ("precision", "D"), [("bf16", 192), ("bf16", 256), ("bf16", 512), ("tf32", 256), ("3xtf32", 250)]
)
def test_rows_fit_every_architecture(
    device: ModuleType, monkeypatch: pytest.MonkeyPatch, precision: str, D: int
) -> None:
    """In the requested precision: a device with less memory gets narrower tiles of the same products."""
    monkeypatch.setenv("AVSA_WGMMA", "0")
    query, key = rows(30, D, torch.device("cpu"))

    def results(precision: str) -> tuple[list[Tensor], int]:
        before = device.emulated_launches()
        found = gradients(ops.info_nce, query, key, 0.07, symmetric=True, precision=precision)
        return found, device.emulated_launches() - before

    device.emulate_architecture(90)
    want, launches = results(precision)
    plain, _ = results("fp32")
    tolerance = {"bf16": 0.02, "tf32": 2e-3, "3xtf32": 1e-5}[precision]
    for architecture in ARCHITECTURES:
        device.emulate_architecture(architecture)
        got, count = results(precision)
        assert count == launches, "other kernels"
        for x, y, exact in zip(got, want, plain, strict=True):
            assert (x - y).norm() <= 1e-5 * y.norm() + 1e-7  # the same rounded numbers in another order
            assert (x - exact).norm() <= tolerance * exact.norm() + 1e-3
        assert not torch.equal(got[1], plain[1])


MATRIX_UNITS = [("bf16", "0"), ("bf16", "1"), ("3xtf32", "0")]


@pytest.mark.parametrize("order", [DESCENDING, RANDOM])
@pytest.mark.parametrize("name", CALLS)
def test_results_do_not_depend_on_the_order_of_threads(device: ModuleType, name: str, order: int) -> None:
    call = CALLS[name]()
    want = call.outputs()
    device.emulate_order(order)
    assert all(torch.equal(x, y) for x, y in zip(call.outputs(), want, strict=True))


@pytest.mark.parametrize(("precision", "wgmma"), MATRIX_UNITS)
def test_matrix_units_do_not_depend_on_the_order_of_threads(
    device: ModuleType, monkeypatch: pytest.MonkeyPatch, precision: str, wgmma: str
) -> None:
    monkeypatch.setenv("AVSA_WGMMA", wgmma)
    query, key = rows(70, 64, torch.device("cpu"))
    found = []
    for order in (ASCENDING, DESCENDING, RANDOM):
        device.emulate_order(order)
        found.append(gradients(ops.info_nce, query, key, 0.07, symmetric=True, precision=precision))
    for other in found[1:]:
        assert all(torch.equal(x, y) for x, y in zip(found[0], other, strict=True))
