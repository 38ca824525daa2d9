"""Mixing channels by a matrix: large outputs, and non-finite samples."""

import math
import re
from pathlib import Path

import pytest
import torch
from helpers.ambisonics import assert_close, random_directions

from avsa_fast import ops, reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def test_streaming_stores_match_reference() -> None:
    signals, directions = torch.randn(16, 4, 12000), random_directions(16, 4, dtype=torch.float32)
    out = ops.rotate(signals, directions)  # 12 MB, in whole vectors of samples
    assert_close(out, reference.rotate(signals.double(), directions.double()), torch.device("cpu"), signals)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_signals(kernel_device: torch.device, request: pytest.FixtureRequest, bad: float) -> None:
    """ValueError on the CPU; on CUDA, NaN or infinity in the outputs that depend on the sample."""
    signals = torch.randn(4, 9, device=kernel_device)
    signals[2, 5] = bad
    directions = random_directions(3, dtype=torch.float32).to(kernel_device)
    sources = random_directions(4, dtype=torch.float32).to(kernel_device)
    calls = [lambda: ops.encode(signals, sources), lambda: ops.rotate(signals, directions)[:, 1:],
             lambda: ops.beamform(signals, directions)]  # fmt: skip
    touched = torch.arange(9) == 5
    for call in calls:
        if "[cpu" in request.node.name:
            with pytest.raises(ValueError, match="signals must be finite, but hold NaN or infinity"):
                call()
            continue
        out = call().cpu()
        assert not out[..., touched].isfinite().any()
        assert out[..., ~touched].isfinite().all()


def test_overflow_of_finite_samples_gives_infinity() -> None:
    signals = torch.full((1, 40), 3e38)
    out = ops.encode(signals.repeat(2, 1), torch.zeros(2, 2))
    assert out[0].isinf().all()


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists(), reason="no huge pages here")
def test_large_outputs_request_huge_pages() -> None:
    """The kernel's flags for the mapping of the output's middle include "hg"."""
    out = ops.rotate(torch.randn(16, 4, 12000), torch.zeros(16, 4, 2))
    middle, inside, flags = out.data_ptr() + out.numel() * out.element_size() // 2, False, []
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(head[1], 16) <= middle < int(head[2], 16)
        elif inside and line.startswith("VmFlags:"):
            flags = line.split()[1:]
    assert "hg" in flags
