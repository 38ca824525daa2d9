"""Memory use of a long run does not grow after warm-up."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.runs import run

from avsa_fast.config import Config
from avsa_fast.train.log import Log

STEPS, WARM_UP = 2000, 400


def resident() -> int:
    """Resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_memory_does_not_grow_over_2000_steps(small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, log_step = {}, Log.step

    def watched(self: Log, step: int, *rest: object) -> None:
        log_step(self, step, *rest)
        memory[step] = resident()

    monkeypatch.setattr(Log, "step", watched)
    config = replace(
        small, steps=STEPS, batch=4, samples=replace(small.samples, max_height=32), checkpoint_every=500,
        evaluate_every=STEPS,
    )  # fmt: skip
    run(config, tmp_path / "run", workers=1)
    half = STEPS * 45 // 100  # AVSA, which needs more memory, begins here
    for begin, end in ((WARM_UP, half), (half + WARM_UP, STEPS)):
        growth = memory[end] / memory[begin] - 1
        print(f"steps {begin} to {end}: {memory[begin] / 2**20:.0f} MB, {growth:+.2%}")
        assert growth < 0.01
