"""seld train: its files, its errors, and that an interrupted training is resumed to the same weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import invoke
from safetensors.torch import load_file

from avsa_fast.config import save_config as save_run_config
from avsa_fast.errors import UserError
from avsa_fast.models import Model
from avsa_fast.models.weights import save_weights
from avsa_fast.run import Run
from avsa_fast.seld import training
from avsa_fast.seld.cli import train
from avsa_fast.seld.config import SeldConfig, load_config
from avsa_fast.seld.model import load_detector
from avsa_fast.seld.start import start

CONFIG = SeldConfig(classes=2, width=16, depth=1, steps=4, batch=2, seconds=2, checkpoint_every=2, mode="finetune")


def test_a_training(run: Run, tree: Path, tmp_path: Path) -> None:
    start(run.folder, tree, tmp_path / "out", CONFIG, resume=False)
    out = tmp_path / "out"
    logged = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in logged] == [1, 2, 3, 4]
    assert {entry["stage"] for entry in logged} == {"seld"}
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["edition"] == 2024
    assert 0 <= metrics["micro"]["f_score"]["value"] <= 1
    detector, config = load_detector(out, torch.device("cpu"))
    assert config.seld == CONFIG
    # The encoder started from the run's, and a few small steps have moved each weight by at most the rates' sum.
    rates = CONFIG.encoder_rate * sum(CONFIG.learning_rate_at(step / 4) for step in range(1, 5))
    moved = [
        float((value - run.model.audio_encoder.state_dict()[name]).abs().max())
        for name, value in detector.encoder.named_parameters()
    ]
    assert 0 < max(moved) <= 4 * rates


def test_modes_and_their_encoders(run: Run, tree: Path, tmp_path: Path) -> None:
    for mode, equal in (("frozen", True), ("scratch", False)):
        config = replace(CONFIG, mode=mode, steps=1)  # type: ignore[arg-type]
        start(run.folder, tree, tmp_path / mode, config, resume=False)
        detector, _ = load_detector(tmp_path / mode, torch.device("cpu"))
        ours, theirs = detector.encoder.state_dict(), run.model.audio_encoder.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours) == equal


def test_an_interrupted_training_is_resumed(
    run: Run, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(run.folder, tree, tmp_path / "whole", CONFIG, resume=False)
    draw = training.draw_excerpts

    def interrupted(recordings: Any, config: SeldConfig, step: int) -> Any:
        if step == 4:
            raise KeyboardInterrupt
        return draw(recordings, config, step)

    monkeypatch.setattr(training, "draw_excerpts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(run.folder, tree, tmp_path / "parts", CONFIG, resume=False)
    assert not (tmp_path / "parts" / "weights.safetensors").exists()
    with pytest.raises(UserError, match=r"training is not finished: no weights.safetensors; seld train --resume"):
        load_detector(tmp_path / "parts")
    monkeypatch.setattr(training, "draw_excerpts", draw)
    start(run.folder, tree, tmp_path / "parts", CONFIG, resume=True)
    for name in ("weights.safetensors", "metrics.json", "checkpoint.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]


def test_folders_that_cannot_be_used(run: Run, tree: Path, tmp_path: Path) -> None:
    start(run.folder, tree, tmp_path / "out", replace(CONFIG, steps=1), resume=False)
    done = invoke(train, "seld train", run.folder, "--data", tree, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "already contains a detector; --resume continues it, another --out starts one" in done.stderr
    with pytest.raises(UserError, match=r"batch 3 differs from 2, with which .*out was started"):
        start(run.folder, tree, tmp_path / "out", replace(CONFIG, steps=1, batch=3), resume=True)
    with pytest.raises(UserError, match=r"none: not the folder of a detector: no seld.yaml"):
        start(run.folder, tree, tmp_path / "none", CONFIG, resume=True)
    (tmp_path / "out" / "seld.yaml").write_text("seld: {mode: guess}\nviews: {}\naudio_width: 4\n")
    with pytest.raises(UserError, match=r"seld.yaml: not a detector's configuration"):
        load_config(tmp_path / "out")


def test_damaged_checkpoints(run: Run, tree: Path, tmp_path: Path) -> None:
    start(run.folder, tree, tmp_path / "out", replace(CONFIG, steps=1), resume=False)
    path = tmp_path / "out" / "checkpoint.safetensors"
    assert "adam.0.exp_avg" in load_file(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"checkpoint.safetensors: damaged, or of another detector: .*; remove it"):
        start(run.folder, tree, tmp_path / "out", replace(CONFIG, steps=1), resume=True)


def test_a_run_without_intensity(run: Run, tree: Path, tmp_path: Path) -> None:
    config = replace(run.config, views=replace(run.config.views, audio="mono"))
    config = replace(config, model=replace(config.model, audio_channels=1))
    (tmp_path / "mono").mkdir()
    save_run_config(config, tmp_path / "mono" / "config.yaml")
    save_weights(Model(config.model), tmp_path / "mono" / "weights.safetensors")
    with pytest.raises(
        UserError, match=r"mono: sound mono: detection needs a run that was trained with --audio foa_iv"
    ):
        start(tmp_path / "mono", tree, tmp_path / "out", CONFIG, resume=False)
