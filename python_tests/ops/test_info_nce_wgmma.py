"""The choice between wgmma and mma.sync: by a comparison on the device, which keeps its verdict."""

import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from avsa_fast import ops
from avsa_fast.errors import UserError
from avsa_fast.ops import _dispatch, _info_nce_group, _info_nce_wgmma
from avsa_fast.ops._info_nce_blocks import Options

pytestmark = pytest.mark.parametrize("kernel_device", ["emulated"], indirect=True)
COMPARISON = [True, False] * len(_info_nce_wgmma.SCALES)


@pytest.fixture(autouse=True)
def _new_process(
    kernel_device: torch.device, emulated_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr(_info_nce_wgmma, "_verdicts", {})
    monkeypatch.setattr(_info_nce_wgmma, "ROWS", 10)  # a tile takes the emulation as long as a full one
    monkeypatch.delenv("AVSA_WGMMA", raising=False)
    yield
    emulated_module.emulate_architecture(90)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each scan so far, whether it was by wgmma."""
    seen: list[bool] = []
    scan = _dispatch._C.info_nce_scan

    def recorded(**arguments: Any) -> int:
        seen.append(arguments["wgmma"])
        return scan(**arguments)

    monkeypatch.setattr(_dispatch._C, "info_nce_scan", recorded)
    return seen


def loss(D: int = 16, precision: str = "bf16") -> Tensor:
    return ops.info_nce(torch.randn(6, D), torch.randn(6, D), precision=precision)


def test_wgmma_is_used_after_one_comparison(chosen: list[bool]) -> None:
    loss()
    assert chosen == [*COMPARISON, True]
    loss(D=100)  # the same kernel
    assert chosen == [*COMPARISON, True, True]


def test_each_size_of_rows_has_its_own_comparison(chosen: list[bool]) -> None:
    loss(D=128)
    loss(D=129)
    assert chosen == [*COMPARISON, True, *COMPARISON, True]


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_a_mismatch_costs_speed_and_one_warning(
    chosen: list[bool], monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    gradient = _dispatch._C.info_nce_gradient

    def wrong(**arguments: Any) -> int:
        done = gradient(**arguments)
        if arguments["wgmma"]:
            arguments["key_grad"].mul_(factor)
        return done

    monkeypatch.setattr(_dispatch._C, "info_nce_gradient", wrong)
    with pytest.warns(UserWarning, match="wgmma kernel for 128 dimensions differs") as found:
        loss()
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss()
    assert chosen[-2:] == [False, False]


def test_nothing_is_compared_while_a_graph_is_captured(chosen: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as capture:
        capture.setattr(_info_nce_wgmma, "_is_captured", lambda _: True)
        loss()
        assert chosen == [False]
    loss()
    assert chosen == [False, *COMPARISON, True]
    monkeypatch.setattr(_info_nce_wgmma, "_is_captured", lambda _: True)
    loss()
    assert chosen[-1], "the verdict is known"


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_environment_decides_instead(chosen: list[bool], monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AVSA_WGMMA", value)
    loss()
    assert chosen == [value == "1"]


def test_another_value_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSA_WGMMA", "yes")
    with pytest.raises(UserError, match="AVSA_WGMMA=yes: must be 0 or 1"):
        loss()


def test_other_devices_and_rows_are_not_compared(chosen: list[bool], emulated_module: ModuleType) -> None:
    loss(D=520)
    loss(precision="3xtf32")
    emulated_module.emulate_architecture(80)
    loss()
    assert chosen == [False] * 3


@pytest.mark.parametrize("other", [False, True])
def test_ranks_agree_on_one_kernel(monkeypatch: pytest.MonkeyPatch, other: bool) -> None:
    """Of two ranks, both use wgmma only if both may."""

    def gather(every: Tensor, own: Tensor, group: Any) -> None:
        theirs = own.clone()
        theirs[6] = other
        every.copy_(torch.cat([own, theirs]))

    monkeypatch.setattr(dist, "all_gather_into_tensor", gather)
    monkeypatch.setattr(dist, "get_world_size", lambda _: 2)
    options = Options(torch.full((), 14.0, dtype=torch.float64), True, 1, "bf16", True)
    span = _info_nce_group._span(torch.randn(6, 16), options, None)  # type: ignore[arg-type]  # a group that is faked
    assert span.wgmma is other
    assert span.counts == [6, 6]
