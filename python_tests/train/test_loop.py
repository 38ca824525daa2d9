"""Complete runs of the training loop, at sizes that take seconds."""

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from helpers.runs import lines, run
from safetensors.torch import load_file

from avsa_fast.config import PRESETS, Config, load_config
from avsa_fast.data.samples import Samples
from avsa_fast.data.tables import INDEX, read_table, write_table
from avsa_fast.data.views import AUDIO_CHANNELS, AudioView
from avsa_fast.errors import UserError
from avsa_fast.scenes.cache import embedded_default
from avsa_fast.train.build import build_model
from avsa_fast.train.log import Log
from avsa_fast.train.loop import Trainer
from avsa_fast.train.objective import Objective
from avsa_fast.train.ranks import Ranks


def test_run_writes_all_files(small: Config, tmp_path: Path) -> None:
    metrics = run(small, tmp_path / "run", workers=1)
    folder = tmp_path / "run"
    assert [line["step"] for line in lines(folder)] == [1, 2, 3, 4, 5, 6]
    assert [line["stage"] for line in lines(folder)] == ["avc"] * 3 + ["avsa"] * 3
    assert set(lines(folder)[0]) == {
        "step", "stage", "loss", "accuracy", "collapse", "temperature", "gradient_norm", "lr", "clips_per_second",
        "data_wait", "views", "utilisation",
    }  # fmt: skip
    for line in lines(folder):
        assert all(0 <= line[name] < 1 for name in ("data_wait", "views", "accuracy", "collapse"))
        assert line["clips_per_second"] > 0
        assert 0 < line["utilisation"] < 2
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert metrics["avc_matching"]["chance"] == 1 / 8
    assert metrics["avsa_matching"]["chance"] == 1 / 4
    assert metrics["avsa_matching"]["n"] == 8 * 4
    assert load_config(folder / "config.yaml") == small
    assert "video_encoder.stem.0.weight" in load_file(folder / "weights.safetensors")
    assert [path.name for path in sorted((folder / "checkpoints").iterdir())] == ["step-0000004", "step-0000006"]
    assert list(folder.glob("events.out.tfevents.*"))


@pytest.mark.parametrize("stopped_after", [2, 3, 4])
def test_resumed_run_is_bit_identical(
    small: Config, tmp_path: Path, stopped_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run stopped within either stage, or between them, and then resumed, matches an uninterrupted one.

    In one of the cases, with the moving average of the weights.
    """
    small = replace(small, ema=0.9) if stopped_after == 3 else small
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run(small, whole)

    log_step = Log.step

    def step_and_stop(self: Log, step: int, *rest: Any) -> None:
        log_step(self, step, *rest)
        if step == stopped_after:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Log, "step", step_and_stop)
        run(small, resumed)
    assert len(lines(resumed)) == stopped_after
    run(small, resumed, resume=True)
    first, second = load_file(whole / "weights.safetensors"), load_file(resumed / "weights.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [line["loss"] for line in lines(whole)] == [line["loss"] for line in lines(resumed)]
    assert json.loads((whole / "metrics.json").read_text()) == json.loads((resumed / "metrics.json").read_text())


@pytest.mark.slow
def test_short_training_beats_chance(tmp_path: Path) -> None:
    """A third of the tiny preset's first stage on the embedded default: above chance, also on held-out clips."""
    config = replace(PRESETS["tiny"], data=str(embedded_default()), stages="avc", steps=90)
    metrics = run(config, tmp_path / "run", workers=1)
    losses = [line["loss"] for line in lines(tmp_path / "run")]
    assert sum(losses[:10]) / 10 > 0.99 * math.log(32)
    assert sum(losses[-10:]) / 10 < 0.9 * math.log(32)
    assert metrics["avc_matching"]["value"] > 1.5 * metrics["avc_matching"]["chance"]


def test_losses_depend_only_on_seed(small: Config, tmp_path: Path) -> None:
    config = replace(small, steps=2)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(replace(config, seed=seed), tmp_path / name)
    a, b, c = ([line["loss"] for line in lines(tmp_path / name)] for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.slow
@pytest.mark.parametrize("audio", get_args(AudioView))
def test_every_sound_representation_trains(small: Config, tmp_path: Path, audio: AudioView) -> None:
    model = replace(small.model, audio_channels=AUDIO_CHANNELS[audio])
    config = replace(small, steps=2, views=replace(small.views, audio=audio), model=model)
    metrics = run(config, tmp_path / "run")
    assert set(metrics) == {"avc_matching", "avsa_matching"}
    assert all(math.isfinite(line["loss"]) for line in lines(tmp_path / "run"))


def test_first_stage_only(small: Config, tmp_path: Path) -> None:
    metrics = run(replace(small, stages="avc", steps=2), tmp_path / "run")
    assert [line["stage"] for line in lines(tmp_path / "run")] == ["avc", "avc"]
    assert set(metrics) == {"avc_matching"}


def test_unreadable_clip_is_reported_once_and_skipped(
    small: Config, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(scenes, data)
    name = (data / "train.txt").read_text().split()[0]
    (data / "video" / f"{name}.mp4").write_bytes(b"no longer a video")
    run(replace(small, data=str(data)), tmp_path / "run")
    errors = capsys.readouterr().err
    assert errors.count(f"{name}.mp4") == 1
    assert "skipped" in errors
    assert len(lines(tmp_path / "run")) == 6


def test_no_readable_clip_is_an_error(small: Config, scenes: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(scenes, data)
    for video in (data / "video").iterdir():
        video.write_bytes(b"no longer a video")
    with pytest.raises(UserError, match="no readable clip"):
        run(replace(small, data=str(data)), tmp_path / "run")


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_non_finite_loss_or_gradient_ends_run(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    """Step 5 fails: the checkpoint of step 4 remains, and resuming from it succeeds."""
    forward, calls = Objective.forward, []

    def broken(self: Objective, stage: Any, *views: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        calls.append(stage)
        loss, metrics = forward(self, stage, *views)
        if len(calls) < 5:
            return loss, metrics
        if bad == "loss":
            return loss * math.nan, metrics
        loss.register_hook(lambda grad: grad * math.inf)
        return loss, metrics

    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"step 5: loss .*Clips of the step: \w+"):
        patch.setattr(Objective, "forward", broken)
        run(small, tmp_path / "run")
    assert max(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == "step-0000004"
    run(small, tmp_path / "run", resume=True)
    assert all(math.isfinite(line["loss"]) for line in lines(tmp_path / "run"))


def test_damaged_newest_checkpoint_is_skipped(
    small: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One flipped bit is detected, and the run ends with the same weights; if all checkpoints are damaged, it fails."""
    run(small, tmp_path / "run")
    whole = (tmp_path / "run" / "weights.safetensors").read_bytes()
    (old, new) = sorted((tmp_path / "run" / "checkpoints").iterdir())
    damage(new / "weights.safetensors")
    run(small, tmp_path / "run", resume=True)
    assert "step-0000006/weights.safetensors: damaged" in capsys.readouterr().err
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == whole
    assert [line["step"] for line in lines(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    for path in (new / "state.pt", old / "weights.safetensors"):
        damage(path)
    with pytest.raises(UserError, match=r"no checkpoint is intact; .*step-0000006: damaged|state\.pt: damaged"):
        run(small, tmp_path / "run", resume=True)


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_best_checkpoint_is_kept(small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = iter([0.5, 0.9, 0.2, 0.3, 0.1, 0.2, 0.2])
    monkeypatch.setattr(Trainer, "_held_out_accuracy", lambda *_: {"value": next(metrics), "chance": 0.25, "n": 1})
    run(replace(small, stages="avc", evaluate_every=1), tmp_path / "run")
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-0000002", "step-0000005", "step-0000006"]
    assert [line.get("validation") for line in lines(tmp_path / "run")] == [0.5, 0.9, 0.2, 0.3, 0.1, None]


def test_best_checkpoint_never_sees_test_clips(
    small: Config, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During training the clips for validation are evaluated, at the end those of the test."""
    data = tmp_path / "data"
    shutil.copytree(scenes, data)
    rows = read_table(data / "index.parquet", INDEX)
    splits = {row["name"]: "validation" if number < 2 else row["split"] for number, row in enumerate(rows)}
    write_table(data / "index.parquet", [row | {"split": splits[row["name"]]} for row in rows], INDEX)
    seen: list[set[str]] = []

    def evaluated(*arguments: Any) -> dict[str, float]:
        seen.append({span.name for span in arguments[4]})
        return {"value": 0.5, "chance": 0.25, "n": 1}

    monkeypatch.setattr("avsa_fast.train.loop.held_out_accuracy", evaluated)
    run(replace(small, data=str(data), stages="avc", batch=4, steps=2, evaluate_every=1), tmp_path / "run")
    assert seen == [{name for name in splits if splits[name] == split} for split in ("validation", "test")]
    assert [len(names) for names in seen] == [2, 2]


def test_saved_weights_are_the_moving_average(small: Config, tmp_path: Path) -> None:
    """After one step with decay 2/11, and a second with 3/12, both from the weights of checkpoints."""
    config = replace(small, stages="avc", steps=2, checkpoint_every=1, ema=0.999)
    run(config, tmp_path / "run")
    first, second = (
        load_file(tmp_path / "run" / "checkpoints" / f"step-000000{step}" / "weights.safetensors") for step in (1, 2)
    )
    name = "video_encoder.stem.0.weight"
    begin = build_model(config, torch.device("cpu"), Ranks()).state_dict()[name]
    average = 3 / 12 * (2 / 11 * begin + 9 / 11 * first[name]) + 9 / 12 * second[name]
    torch.testing.assert_close(load_file(tmp_path / "run" / "weights.safetensors")[name], average)


def test_killed_worker_ends_run(small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Samples.__getitem__

    def dying(self: Samples, number: int) -> Any:
        if number == 17:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, number)

    monkeypatch.setattr(Samples, "__getitem__", dying)
    with pytest.raises(UserError, match=r"a decoding worker died \(SIGKILL\).*--resume"):
        run(replace(small, stages="avc"), tmp_path / "run", workers=1)


def test_learning_rate_schedule() -> None:
    cosine = replace(PRESETS["paper"], schedule="cosine", warmup=0.1, learning_rate=1.0, final_rate=0.2)
    assert [round(cosine.learning_rate_at(progress), 6) for progress in (0.05, 0.1, 0.55, 1.0)] == [0.5, 1.0, 0.6, 0.2]
    assert replace(cosine, final_rate=0.0).learning_rate_at(1.0) == 0
    assert PRESETS["paper"].final_rate > 0
    assert PRESETS["paper"].learning_rate_at(0.7) == 1e-4
