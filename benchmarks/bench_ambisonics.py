"""encode, rotate and beamform: kernels against the reference. A batch is scenes of 1 s at 24 kHz."""

from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from avsa_fast import ops, reference

SCENES, SOURCES, VIEWS, SAMPLES = 16, 4, 4, 24000
CASES = ["encode", "rotate", "beamform"]


def arguments(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Sound [B, C, T] and directions [B, K, 2]."""
    channels = SOURCES if name == "encode" else 4
    return torch.randn(SCENES, channels, SAMPLES), torch.rand(SCENES, VIEWS, 2) * 2 - 1


def case(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.benchmark(group=f"ambisonics: {name}"), id=name)


@pytest.mark.parametrize("name", [case(name) for name in CASES])
def test_kernel(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark(getattr(ops, name), *arguments(name))


@pytest.mark.parametrize("name", [case(name) for name in CASES])
def test_reference(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark(getattr(reference, name), *arguments(name))
