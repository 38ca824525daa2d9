"""Perspective crops: kernel against reference, bytes to normalised float crops."""

from math import radians
from typing import Any

import pytest
import torch

from avsa_fast import ops, reference

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)

# clips, frames' height, crop's size, field of view in degrees, antialiased, jittered
CASES = {
    "1 clip 1920x960 -> 4 x 112x112, bilinear": (1, 960, 112, 90, False, False),
    "1 clip 960x480 -> 4 x 56x56": (1, 480, 56, 90, True, False),
    "16 clips 320x160 -> 4 x 48x48": (16, 160, 48, 65, True, False),
    "16 clips 320x160 -> 4 x 48x48, jitter": (16, 160, 48, 65, True, True),
}


def arguments(case: str) -> dict[str, Any]:
    clips, height, size, fov, antialias, jitter = CASES[case]
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(clips, 4, 2, generator=generator) * 2 - 1
    factors = torch.tensor([1.2, 0.8, 1.1, 0.1]).expand(clips, 4, 4)
    return {
        "frames": torch.randint(0, 256, (clips, 8, height, 2 * height, 3), dtype=torch.uint8, generator=generator),
        "directions": unit * torch.tensor([torch.pi, torch.pi / 6]),
        "fov": radians(fov),
        "size": (size, size),
        "mean": MEAN,
        "std": STD,
        "antialias": antialias,
        "jitter": factors if jitter else None,
    }


@pytest.fixture(params=[pytest.param(case, marks=pytest.mark.benchmark(group=f"gnomonic: {case}")) for case in CASES])
def crops(request: pytest.FixtureRequest) -> dict[str, Any]:
    return arguments(request.param)


def test_kernel(benchmark: Any, crops: dict[str, Any]) -> None:
    benchmark.pedantic(lambda: ops.gnomonic(**crops), rounds=7, warmup_rounds=1)


def test_reference(benchmark: Any, crops: dict[str, Any]) -> None:
    benchmark.pedantic(lambda: reference.gnomonic(**crops), rounds=1, warmup_rounds=0)
