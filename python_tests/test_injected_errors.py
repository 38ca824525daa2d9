"""An error at any stage of any command ends it in time, with its message, and leaves no process."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.inject import MESSAGE, injected
from helpers.media import write_sound
from helpers.untrained import config, run, scenes

from avsa_fast.config import save_config
from avsa_fast.run import Run

__all__ = ["config", "run", "scenes"]


def check(done: subprocess.CompletedProcess[str], error: str, command: str, told: str = "") -> None:
    code, last = done.returncode, done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert (code, last) == {
        "UserError": (2, f"{command}: {told}{MESSAGE}"),
        "RuntimeError": (2, f"{command}: {MESSAGE}; --debug shows where"),
        "KeyboardInterrupt": (130, f"{command}: interrupted"),
    }[error]


def cases(*stages: str, often: int = 0) -> list[object]:
    """The first stage with each error, the others with one in turn; all but the first `often` stages are slow."""
    errors = ("RuntimeError", "UserError", "KeyboardInterrupt")
    return [
        pytest.param(stage, error, marks=[] if number < often and error == errors[number] else pytest.mark.slow)
        for number, stage in enumerate(stages)
        for error in (errors if number == 0 else errors[number % 3 : number % 3 + 1])
    ]


@pytest.mark.parametrize(
    ("stage", "error"),
    cases(
        "avsa_fast.train.feed:Feed.__next__ 2",
        "avsa_fast.train.heldout:avc_matches",
        "avsa_fast.train.loop:save_checkpoint",
        "avsa_fast.train.optimiser:StageOptimiser.step 2",
        "avsa_fast.train.log:Log.step 2",
        "avsa_fast.train.log:Log.pictures",
        "avsa_fast.train.feed:make_views 3",
        "avsa_fast.train.loop:Trainer._evaluate",
        "avsa_fast.train.loop:save_weights",
        "avsa_fast.train.heldout:matching_accuracy",
        often=2,
    ),
)
def test_train(run: Run, tmp_path: Path, stage: str, error: str) -> None:
    target, _, call = stage.partition(" ")
    save_config(replace(run.config, evaluate_every=1), tmp_path / "config.yaml")
    done = injected(
        target, error, tmp_path / "stamp", "train", "--data", run.config.data, "--config", tmp_path / "config.yaml",
        "--out", tmp_path / "run", "--workers", 2, call=int(call or 1),
    )  # fmt: skip
    check(done, error, "train")


@pytest.mark.parametrize(
    ("stage", "error"),
    cases(
        "avsa_fast.run:Run.audio 2",
        "avsa_fast.evaluate.pretext:avc_bin",
        "avsa_fast.evaluate.tasks:write_scores",
        often=1,
    ),
)
def test_evaluate(run: Run, tmp_path: Path, stage: str, error: str) -> None:
    target, _, call = stage.partition(" ")
    done = injected(
        target, error, tmp_path / "stamp", "evaluate", run.folder, "--task", "avc", "--moments", 4,
        "--classifiers", 1, "--workers", 2, call=int(call or 1),
    )  # fmt: skip
    check(done, error, "evaluate", told="--task avc cannot run: ")


@pytest.mark.parametrize(("stage", "error"), cases("avsa_fast.embed.store:Parts.add 2"))
def test_embed(run: Run, tmp_path: Path, stage: str, error: str) -> None:
    target, _, call = stage.partition(" ")
    files = [write_sound(tmp_path / f"{i}.wav", 2, 4) for i in range(3)]
    done = injected(
        target, error, tmp_path / "stamp", "embed", run.folder, *files, "--out", tmp_path / "x.parquet", call=int(call)
    )  # fmt: skip
    check(done, error, "embed")


@pytest.mark.parametrize(
    ("stage", "error"),
    cases(
        "avsa_fast.prepare.journal:Journal.append 2",
        "avsa_fast.prepare.run:_link_media 2",
        "avsa_fast.prepare.run:write_results",
        "avsa_fast.isolation:Worker._send 3",
    ),
)
def test_prepare(scenes: Path, tmp_path: Path, stage: str, error: str) -> None:
    target, _, call = stage.partition(" ")
    (tmp_path / "source").mkdir()
    for kind in ("video", "audio"):
        (tmp_path / "source" / kind).symlink_to(scenes / kind)
    done = injected(
        target, error, tmp_path / "stamp", "prepare", tmp_path / "source", tmp_path / "out", "--workers", 2,
        "--detector", "helpers.detectors:SlowDetector", call=int(call or 1),
    )  # fmt: skip
    check(done, error, "prepare")


@pytest.mark.parametrize(
    ("stage", "error"), cases("avsa_fast.report.run:_add_similarities 2", "avsa_fast.report.run:render")
)
def test_report(run: Run, tmp_path: Path, stage: str, error: str) -> None:
    target, _, call = stage.partition(" ")
    (run.folder / "log.jsonl").touch()
    done = injected(
        target, error, tmp_path / "stamp", "report", run.folder, "--out", tmp_path / "report.html", call=int(call or 1)
    )
    check(done, error, "report")


@pytest.mark.parametrize(
    ("stage", "error"),
    cases(
        "avsa_fast.scenes.build:_collect 1",
        "avsa_fast.scenes.build:write_video 2",
        "avsa_fast.scenes.build:_write_tables",
    ),
)
def test_scenes(tmp_path: Path, stage: str, error: str) -> None:
    """Scenes of ten minutes, so that the command is still running."""
    target, _, call = stage.partition(" ")
    seconds = 600 if call else 1
    done = injected(
        target, error, tmp_path / "stamp", "scenes", tmp_path / "out", "--count", 4, "--seconds", seconds,
        call=int(call or 1),
    )  # fmt: skip
    check(done, error, "scenes")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("stage", "error"), cases("avsa_fast.export.encoders:export_encoder"))
def test_export(run: Run, tmp_path: Path, stage: str, error: str) -> None:
    pytest.importorskip("onnxscript")
    done = injected(stage, error, tmp_path / "stamp", "export", run.folder, tmp_path / "out")
    check(done, error, "export")
