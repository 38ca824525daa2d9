"""The ablation grid: every row is trained once, interrupted rows resume, and both tables are written."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from helpers.unprepared import link_media

from avsa_fast.errors import UserError
from avsa_fast.evaluate import ablation as grid
from avsa_fast.run import Run


@pytest.fixture
def two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "TABLE_1", [grid.Row("foa_iv", "random"), grid.Row("foa_iv", "random", valid_only=True)])
    monkeypatch.setattr(grid, "TABLE_2", [grid.Row("mono", "yolo"), grid.Row("foa_iv", "random")])


def test_rows_of_the_paper() -> None:
    assert len(grid.TABLE_2) == 12
    assert {row.audio for row in grid.TABLE_2} == set(grid.TITLES)
    assert {row.crops for row in grid.TABLE_2} == {"yolo", "random"}


@pytest.mark.slow
@pytest.mark.usefixtures("two_rows")
def test_rows_are_trained_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(run, folder=tmp_path)
    text = grid.ablation(run, None, steps=2, moments=1, seed=0, workers=0)
    assert "| mono, objects |" in text
    assert "| FOA + FOA-IV, random crops |" in text
    assert "| spatially valid clips |" in text
    assert "| – |" in text  # mono has no AVSA
    assert (tmp_path / "eval" / "ablation.md").read_text() == text
    assert sorted(path.name for path in (tmp_path / "ablation").iterdir()) == [
        "foa_iv-random", "foa_iv-random-valid", "mono-yolo",
    ]  # fmt: skip

    # Existing results are not computed again; a row without metrics is evaluated again, but not trained.
    trained = []
    monkeypatch.setattr(grid.Trainer, "train", lambda self, resume: trained.append(self.run))
    assert grid.ablation(run, None, steps=2, moments=1, seed=0, workers=0) == text
    (tmp_path / "ablation" / "mono-yolo" / "eval" / "ablation.json").unlink()
    assert grid.ablation(run, None, steps=2, moments=1, seed=0, workers=0) == text
    assert not trained

    # An interrupted row resumes from its checkpoint, but not with a different configuration.
    (tmp_path / "ablation" / "mono-yolo" / "eval" / "ablation.json").unlink()
    (tmp_path / "ablation" / "mono-yolo" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="mono-yolo was started with another configuration"):
        grid.ablation(run, None, steps=3, moments=1, seed=0, workers=0)
    monkeypatch.undo()
    monkeypatch.setattr(grid, "TABLE_2", [grid.Row("mono", "yolo")])
    monkeypatch.setattr(grid, "TABLE_1", [])
    grid.ablation(run, None, steps=2, moments=1, seed=0, workers=0)
    assert (tmp_path / "ablation" / "mono-yolo" / "weights.safetensors").exists()


@pytest.mark.slow
def test_unprepared_folder_is_prepared(run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "TABLE_1", [grid.Row("mono", "random")])
    monkeypatch.setattr(grid, "TABLE_2", [grid.Row("mono", "yolo")])
    detector = partial(grid.prepare_for_crops, detector="helpers.detectors:BrightnessDetector")
    monkeypatch.setattr(grid, "prepare_for_crops", detector)
    (tmp_path / "run").mkdir()
    run, data = replace(run, folder=tmp_path / "run"), link_media(scenes, tmp_path / "data")
    assert "mono, objects" in grid.ablation(run, data, steps=2, moments=1, seed=0, workers=0)
    assert (data / "detections.parquet").exists()


def test_spatially_valid_clips(run: Run, scenes: Path) -> None:
    assert grid._valid_clips(scenes)
    assert all(name < "scene0008" for name in grid._valid_clips(scenes))
