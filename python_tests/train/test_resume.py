"""A run that is killed at any step and then resumed matches an uninterrupted one."""

import hashlib
import json
import random
import signal
import time
from pathlib import Path

import pytest
import yaml
from helpers.commands import Command, module, run

STEPS = 40
CONFIG = {
    "samples": {"max_height": 32},
    "views": {"crop_size": 16, "n_mels": 64},
    "model": {"video_width": 8, "video_blocks": [1, 1, 1, 1], "audio_width": 4, "transformer_ffn": 16},
    "batch": 8,
    "steps": STEPS,
    "avc_share": 0.5,
    "learn_temperature": True,
    "schedule": "cosine",
    "checkpoint_every": 3,
    "evaluate_every": 10,
    "held_out_samples": 4,
}


def line(data: Path, out: Path, *options: str) -> tuple[object, ...]:
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(CONFIG))
    chosen = ("--preset", "tiny", "--data", data, "--config", config, "--out", out, "--workers", 1)
    return *module("train"), *chosen, *options


def steps_logged(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def digest(run: Path) -> str:
    return hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
def test_resume_after_sigkill_at_random_steps(scenes: Path, tmp_path: Path) -> None:
    """Killed at a random time after each of 10 random steps, 5 per stage."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(*line(scenes, whole), check=True)
    half = STEPS // 2
    moments = sorted(random.sample(range(1, half), 5)) + sorted(random.sample(range(half + 1, STEPS), 5))
    for number, moment in enumerate(moments):
        options = ["--resume"] if number and (killed / "config.yaml").exists() else []
        with Command(*line(scenes, killed, *options)) as command:
            while steps_logged(killed) < moment:
                assert command.process.poll() is None, command.stderr()
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.1))
            command.process.send_signal(signal.SIGKILL)
            command.finish()
        assert not (killed / "weights.safetensors").exists()
    run(*line(scenes, killed, "--resume"), check=True)
    assert digest(killed) == digest(whole)
    assert (killed / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (whole, killed)]
    same = ("step", "stage", "loss", "gradient_norm", "accuracy", "temperature", "lr", "validation")
    assert [[line.get(name) for name in same] for line in logs[0]] == [
        [line.get(name) for name in same] for line in logs[1]
    ]
