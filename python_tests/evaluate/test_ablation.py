"""The grid: every row once, gone on with where it stopped, and both tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.evaluate import ablation as grid
from avsa_fast.evaluate.run import Run


@pytest.fixture
def two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "TABLE_1", [grid.Row("foa_iv", "random"), grid.Row("foa_iv", "random", valid_only=True)])
    monkeypatch.setattr(grid, "TABLE_2", [grid.Row("mono", "yolo"), grid.Row("foa_iv", "random")])


def test_the_grid_is_the_papers() -> None:
    assert len(grid.TABLE_2) == 12
    assert {row.audio for row in grid.TABLE_2} == set(grid.NAMES)
    assert {row.crops for row in grid.TABLE_2} == {"yolo", "random"}


@pytest.mark.usefixtures("two_rows")
def test_rows_are_trained_once_and_tabled(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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

    # What is there is not made again; a row whose figures are gone is scored, but not trained, again.
    trained = []
    monkeypatch.setattr(grid.Trainer, "train", lambda self, resume: trained.append(self.run))
    assert grid.ablation(run, None, steps=2, moments=1, seed=0, workers=0) == text
    (tmp_path / "ablation" / "mono-yolo" / "eval" / "ablation.json").unlink()
    assert grid.ablation(run, None, steps=2, moments=1, seed=0, workers=0) == text
    assert not trained

    # A row that was begun goes on from its checkpoint, but not with other choices.
    (tmp_path / "ablation" / "mono-yolo" / "eval" / "ablation.json").unlink()
    (tmp_path / "ablation" / "mono-yolo" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="mono-yolo was begun with other choices"):
        grid.ablation(run, None, steps=3, moments=1, seed=0, workers=0)
    monkeypatch.undo()
    monkeypatch.setattr(grid, "TABLE_2", [grid.Row("mono", "yolo")])
    monkeypatch.setattr(grid, "TABLE_1", [])
    grid.ablation(run, None, steps=2, moments=1, seed=0, workers=0)
    assert (tmp_path / "ablation" / "mono-yolo" / "weights.safetensors").exists()


def test_only_valid_clips_train_a_valid_row(run: Run, scenes: Path) -> None:
    assert grid._valid(scenes)
    assert all(name < "scene0008" for name in grid._valid(scenes))
