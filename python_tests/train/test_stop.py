"""Signals stop a run with a checkpoint, or at once if that would take too long."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.commands import Command, module

from avsa_fast.train.cli import main

STEPS = 16
CONFIG = {
    "samples": {"max_height": 32},
    "views": {"crop_size": 16, "n_mels": 64},
    "model": {"video_width": 8, "video_blocks": [1, 1, 1, 1], "audio_width": 4, "transformer_ffn": 16},
    "batch": 8,
    "steps": STEPS,
    "stages": "avc",
    "checkpoint_every": 100,
    "held_out_samples": 4,
}


# A run whose workers hang on training samples (True) or on held-out ones (False).
STUCK = """
import runpy, signal, sys, time
from avsa_fast.data.samples import Samples
read, augmented = Samples.__getitem__, sys.argv.pop(1) == "True"
def hang(self, number):
    if self.augment == augmented:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    return read(self, number)
Samples.__getitem__ = hang
runpy.run_module("avsa_fast.train", run_name="__main__", alter_sys=True)
"""


def stuck(augmented: bool) -> tuple[object, ...]:
    return sys.executable, "-c", STUCK, augmented


def configuration(out: Path, **choices: object) -> Path:
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(CONFIG | choices))
    return config


def options(data: Path, out: Path, **choices: object) -> tuple[object, ...]:
    return "--preset", "tiny", "--data", data, "--config", configuration(out, **choices), "--out", out


def wait_for(command: Command, what: Callable[[], bool]) -> None:
    while not what():
        assert command.process.poll() is None, command.stderr()
        time.sleep(0.01)


def steps_logged(out: Path) -> int:
    log = out / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


@pytest.mark.slow
def test_second_signal_ends_run_with_hanging_workers(scenes: Path, tmp_path: Path) -> None:
    with Command(*stuck(True), *options(scenes, tmp_path / "run"), "--workers", 2) as command:
        wait_for(command, lambda: len(command.alive()) == 3)
        time.sleep(1.5)
        command.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        assert command.process.poll() is None  # waits for the current step
        command.process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        done = command.finish()
        command.assert_ended_since(begin)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "train: interrupted"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_final_matching_stops_immediately_and_resumes(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with Command(*stuck(False), *options(scenes, out, steps=2), "--workers", 1) as command:
        wait_for(command, lambda: "matching held-out samples" in command.stderr())
        time.sleep(0.5)
        command.process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        done = command.finish()
        command.assert_ended_since(begin)
    assert done.returncode == 130
    assert "--resume" in done.stderr
    assert not (out / "metrics.json").exists()
    main(out=out, resume=True, workers=0)
    assert (out / "metrics.json").exists()


@pytest.mark.slow
def test_signal_to_all_processes_keeps_every_step(scenes: Path, tmp_path: Path) -> None:
    """As sent by timeout(1) and job schedulers: the workers end at once, and the run ends with a checkpoint."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    main(data=scenes, out=whole, preset="tiny", config=configuration(whole), workers=0)
    with Command(*module("train"), *options(scenes, stopped), "--workers", 1) as command:
        wait_for(command, lambda: steps_logged(stopped) >= 3)
        os.killpg(command.process.pid, signal.SIGTERM)
        done = command.finish()
    assert done.returncode == 130, done.stderr
    steps = steps_logged(stopped)
    assert [path.name for path in (stopped / "checkpoints").iterdir()] == [f"step-{steps:07d}"]
    assert steps < STEPS
    main(out=stopped, resume=True, workers=0)
    digests = [hashlib.sha256((out / "weights.safetensors").read_bytes()).hexdigest() for out in (whole, stopped)]
    assert digests[0] == digests[1]
