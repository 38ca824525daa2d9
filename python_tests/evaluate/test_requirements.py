"""Tasks that cannot run are named with their reason before the others start; the others run, and the exit code is 2."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import commands
from helpers.unprepared import link_media

from avsa_fast.config import save_config
from avsa_fast.data.tables import INDEX, read_table, write_table
from avsa_fast.errors import UserError
from avsa_fast.evaluate import scores, tasks
from avsa_fast.evaluate.cli import main
from avsa_fast.run import Run


def copied(scenes: Path, folder: Path, *, truth: bool = True, clips: int | None = None) -> Path:
    """A folder with links to a dataset's media and tables, with the first clips only or all."""
    link_media(scenes, folder)
    if not truth:
        (folder / "truth.parquet").unlink()
    (folder / "detections.parquet").symlink_to(scenes / "detections.parquet")
    write_table(folder / "index.parquet", read_table(scenes / "index.parquet", INDEX)[:clips], INDEX)
    return folder


def with_run(run: Run, folder: Path, data: Path) -> Path:
    """A run's folder with the same network and another dataset."""
    folder.mkdir()
    save_config(replace(run.config, data=str(data)), folder / "config.yaml")
    (folder / "weights.safetensors").symlink_to(run.folder / "weights.safetensors")
    return folder


def results(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "eval").glob("*.json")}


def test_tasks_that_can_run_do(run: Run, scenes: Path, tmp_path: Path) -> None:
    data = copied(scenes, tmp_path / "data", truth=False)
    folder = with_run(run, tmp_path / "run", data)
    options = ("--moments", 1, "--workers", 0, "--task", "localisation", "linear", "retrieval")
    done = commands.run(*commands.module("evaluate"), folder, *options)
    assert done.returncode == 2
    assert results(folder) == {"retrieval"}
    no_truth = (
        f"--task localisation cannot run: {data}: no truth.parquet there, the directions of its sounding objects; "
        "--truth names a truth.parquet or a folder of NAME.csv as in STARSS"
    )
    no_data = "--task linear cannot run: --data must name the folder of a labelled dataset, and --format its layout"
    lines = [line for line in done.stderr.splitlines() if line.startswith("evaluate: ")]
    assert lines == [f"evaluate: {no_truth}; {no_data}"] * 2  # before the work, and at its end


def test_reasons_precede_any_work(
    run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = copied(scenes, tmp_path / "data", truth=False)
    told: list[str] = []

    def prepared(*_: object, named: bool) -> None:
        told.append(capsys.readouterr().err)
        raise UserError("enough")

    monkeypatch.setattr(tasks, "prepare_for_crops", prepared)
    with pytest.raises(UserError, match=r"localisation cannot run: .*truth\.parquet.*; --task avsa cannot run: enough"):
        main(with_run(run, tmp_path / "run", data), ("avsa", "localisation"))
    assert len(told) == 1
    assert "--task localisation cannot run" in told[0]


def test_too_few_clips_are_named_before_embedding(
    run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "embed_pairs", lambda *_args, **_options: pytest.fail("embeds"))
    data = copied(scenes, tmp_path / "data", clips=1)
    with pytest.raises(UserError) as caught:
        main(with_run(run, tmp_path / "run", data), ("avc", "retrieval"))
    assert str(caught.value) == (
        f"--task avc cannot run: {data}: 1 to train on and 1 held out; AVC-Bin needs the sound of another clip, so at "
        f"least 2 clips of each; --task retrieval cannot run: {data}: 1 clip held out; retrieval chooses among at "
        "least 2"
    )


def test_one_clip_is_enough_for_avsa(run: Run, scenes: Path, tmp_path: Path) -> None:
    folder = with_run(run, tmp_path / "run", copied(scenes, tmp_path / "data", clips=1))
    with pytest.raises(UserError, match="--task avc cannot run"):
        main(folder, ("avc", "avsa"), moments=2, classifiers=1, workers=0)
    assert json.loads((folder / "eval" / "avsa.json").read_text())["avsa_matching"]["n"] == 8


def test_failures_during_a_task_leave_the_others(
    run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_args: object, **_options: object) -> None:
        raise UserError("a clip is damaged")

    monkeypatch.setattr(scores, "localise", failing)
    folder = with_run(run, tmp_path / "run", scenes)
    with pytest.raises(UserError, match=r"^--task localisation cannot run: a clip is damaged$"):
        main(folder, ("localisation", "retrieval"), moments=1, workers=0)
    assert results(folder) == {"retrieval"}
    assert "a clip is damaged" in capsys.readouterr().err


def test_sound_without_direction(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    mono = replace(run, config=replace(run.config, views=replace(run.config.views, audio="mono")))
    monkeypatch.setattr(tasks, "load_run", lambda folder: mono)
    with pytest.raises(UserError, match=r"--task avsa localisation cannot run: .*mono sound has no direction"):
        main(run.folder, ("avsa", "localisation"))


def test_truth_of_other_clips(run: Run, scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "elsewhere.csv").write_text("0,1,0,10,2,150\n")
    folder = with_run(run, tmp_path / "run", scenes)
    with pytest.raises(UserError, match="no objects are annotated in the held-out clips, such as scene"):
        main(folder, ("localisation",), truth=tmp_path / "truth")
    with pytest.raises(UserError, match=r"nowhere there, .*--truth names"):
        main(folder, ("localisation",), truth=tmp_path / "nowhere")
