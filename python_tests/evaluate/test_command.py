"""python -m avsa_fast.evaluate, as users run it."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from helpers import commands
from helpers.unprepared import link_media

from avsa_fast.config import save_config
from avsa_fast.errors import UserError
from avsa_fast.evaluate import tasks
from avsa_fast.evaluate.cli import main
from avsa_fast.run import Run


def test_pretext_tasks_from_command_line(run: Run) -> None:
    options = ("--moments", 1, "--classifiers", 1, "--workers", 0, "--task", "avc", "avsa", "retrieval")
    done = commands.run(*commands.module("evaluate"), run.folder, *options, check=True)
    assert "avsa_bin" in done.stdout
    written = {path.stem: json.loads(path.read_text()) for path in (run.folder / "eval").glob("*.json")}
    assert set(written) == {"avc", "avsa", "retrieval"}
    for metrics in written.values():
        for metric in metrics.values():
            assert set(metric) == {"value", "low", "high", "chance", "n"}


def test_untrained_results_have_their_own_folder(run: Run) -> None:
    main(run.folder, ("retrieval",), moments=1, workers=0, untrained=True)
    assert (run.folder / "eval" / "untrained" / "retrieval.json").exists()


def tables(data: Path) -> list[str]:
    return sorted(path.name for path in data.glob("*.parquet"))


def with_crops(run: Run, crops: str, folder: Path) -> Path:
    """A folder with the same run, but other crop directions."""
    folder.mkdir()
    save_config(replace(run.config, samples=replace(run.config.samples, crops=crops)), folder / "config.yaml")
    (folder / "weights.safetensors").symlink_to(run.folder / "weights.safetensors")
    return folder


@pytest.mark.parametrize("crops", ["random", pytest.param("yolo", marks=pytest.mark.slow)])
def test_unprepared_folder_is_prepared(
    run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crops: str
) -> None:
    """Objects are detected only if crops need them."""
    detector = partial(tasks.prepare_for_crops, detector="helpers.detectors:BrightnessDetector")
    monkeypatch.setattr(tasks, "prepare_for_crops", detector)
    folder, data = with_crops(run, crops, tmp_path / "run"), link_media(scenes, tmp_path / "data")
    main(folder, ("avc", "retrieval"), data=data, moments=1, classifiers=1, workers=0)
    assert (folder / "eval" / "avc.json").exists()
    created = ["detections.parquet"] if crops == "yolo" else []
    assert tables(data) == [*created, "index.parquet", "truth.parquet"]


@pytest.mark.slow
def test_localisation_does_not_run_a_detector(run: Run, scenes: Path, tmp_path: Path) -> None:
    data = link_media(scenes, tmp_path / "data")
    main(with_crops(run, "yolo", tmp_path / "run"), ("localisation",), data=data, moments=1)
    assert tables(data) == ["index.parquet", "truth.parquet"]


def test_folder_without_dataset_is_not_changed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"video: no such folder; .*python -m avsa_fast\.prepare SRC DST makes one"):
        main(run.folder, ("avc",), data=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_user_errors(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not the folder of a run: no config\.yaml"):
        main(tmp_path, ("avc",))
    with pytest.raises(UserError, match="--moments 0: must be within 1 and 10,000"):
        main(run.folder, ("avc",), moments=0)
    save_config(replace(run.config, views=replace(run.config.views, audio="mono")), tmp_path / "config.yaml")
    with pytest.raises(UserError, match=r"no weights\.safetensors; train --resume"):
        main(tmp_path, ("avc",))
