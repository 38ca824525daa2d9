"""Killed at any step, a run that is resumed ends as if it never had been."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

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


def started(data: Path, out: Path, *options: str) -> "subprocess.Popen[str]":
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(CONFIG))
    line = ["--preset", "tiny", "--data", data, "--config", config, "--out", out, "--workers", "1", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "avsa_fast.train", *map(str, line)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, start_new_session=True,
    )  # fmt: skip


def finished(process: "subprocess.Popen[str]") -> None:
    said = process.communicate()[1]
    assert process.returncode == 0, said


def steps_logged(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def digest(run: Path) -> str:
    return hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
def test_kill_9_at_ten_random_steps(scenes: Path, tmp_path: Path) -> None:
    """At a random moment after each of 10 random steps, 5 in each stage."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finished(started(scenes, whole))
    seed = time.time_ns() % 10**6
    print(f"seed {seed}")
    rng = random.Random(seed)
    half = STEPS // 2
    moments = sorted(rng.sample(range(1, half), 5)) + sorted(rng.sample(range(half + 1, STEPS), 5))
    for number, moment in enumerate(moments):
        process = started(scenes, killed, *(["--resume"] if number and (killed / "config.yaml").exists() else []))
        while steps_logged(killed) < moment or process.poll() is not None:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (killed / "weights.safetensors").exists()
    finished(started(scenes, killed, "--resume"))
    assert digest(killed) == digest(whole)
    assert (killed / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (whole, killed)]
    same = ("step", "stage", "loss", "gradient_norm", "accuracy", "temperature", "lr", "held_out")
    assert [[line.get(name) for name in same] for line in logs[0]] == [
        [line.get(name) for name in same] for line in logs[1]
    ]
