"""The ablation: every row is trained once per seed, interrupted ones resume, and the table has paired differences."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.unprepared import link_media

from avsa_fast.config import config_text
from avsa_fast.data.views import AUDIO_CHANNELS
from avsa_fast.errors import UserError
from avsa_fast.evaluate import ablation as grid
from avsa_fast.models import Model
from avsa_fast.run import Run

OPTIONS: dict[str, Any] = {"seeds": 1, "steps": 2, "moments": 1, "seed": 0, "classifiers": 1, "workers": 0}


def test_rows_of_the_paper() -> None:
    names = {row.name for row in grid.ROWS}
    assert {f"{audio}-{crops}" for audio in AUDIO_CHANNELS for crops in ("yolo", "random")} <= names
    assert len(names) == len(grid.ROWS)


def test_every_row_changes_the_configuration_and_can_be_built(run: Run) -> None:
    configs = {row.name: row.change(run.config) for row in grid.ROWS if row.trained and not row.valid_only}
    base = configs.pop("base")
    same = f"{base.views.audio}-{base.samples.crops}"  # the row of the paper that the run already is
    assert {name for name, config in configs.items() if config == base} == {same}
    assert len({config_text(config) for config in configs.values()}) == len(configs)
    for config in configs.values():
        assert config.model.audio_channels == AUDIO_CHANNELS[config.views.audio]
        Model(config.model)


def test_rows_are_selected_by_name() -> None:
    assert [row.name for row in grid.select_rows(["8-crops", "avc-only"])] == ["base", "avc-only", "8-crops"]
    assert grid.select_rows([]) == list(grid.ROWS)
    with pytest.raises(UserError, match="--rows 9-crops: no such row of the ablation; there are base, foa_iv-yolo"):
        grid.select_rows(["9-crops"])


@pytest.mark.slow
def test_rows_are_trained_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(run, folder=tmp_path)
    rows = grid.select_rows(["mono-yolo", "valid", "no-transformers", "1-crop"])
    text = grid.ablation(run, None, rows=rows, **OPTIONS | {"seeds": 2})
    lines = text.splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:7]] == [
        ["| as the run", "2"], ["| mono, objects", "2"], ["| FOA + FOA-IV, random crops, spatially valid clips", "2"],
        ["| AVSA without transformers", "2"], ["| AVSA with 1 crop", "2"],
    ]  # fmt: skip
    assert [line.split(" | ")[0] for line in lines[7:]] == [f"| {row.title} minus as the run" for row in rows[1:]]
    assert lines[3].split(" | ")[3] == "–"  # mono has no AVSA
    assert (tmp_path / "eval" / "ablation.md").read_text() == text
    trained_rows = sorted(str(path.parent.relative_to(tmp_path / "ablation")) for path in tmp_path.rglob("config.yaml"))
    assert trained_rows == sorted(f"{row.name}/{seed}" for row in rows for seed in (0, 1))

    # Existing results are not computed again; a run without metrics is evaluated again, but not trained.
    trained: list[Path] = []
    monkeypatch.setattr(grid.Trainer, "train", lambda self, resume: trained.append(self.run))
    assert grid.ablation(run, None, rows=rows, **OPTIONS | {"seeds": 2}) == text
    (tmp_path / "ablation" / "mono-yolo" / "0" / "eval" / "cases" / "ablation.json").unlink()
    assert grid.ablation(run, None, rows=rows, **OPTIONS | {"seeds": 2}) == text
    assert not trained

    # An interrupted run resumes from its checkpoint, but not with a different configuration.
    (tmp_path / "ablation" / "mono-yolo" / "0" / "eval" / "cases" / "ablation.json").unlink()
    (tmp_path / "ablation" / "mono-yolo" / "0" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="mono-yolo/0 was started with another configuration"):
        grid.ablation(run, None, rows=rows, **OPTIONS | {"steps": 3})
    monkeypatch.undo()
    grid.ablation(run, None, rows=grid.select_rows(["mono-yolo"]), **OPTIONS)
    assert (tmp_path / "ablation" / "mono-yolo" / "0" / "weights.safetensors").exists()


@pytest.mark.slow
def test_unprepared_folder_is_prepared(run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = partial(grid.prepare_for_crops, detector="helpers.detectors:BrightnessDetector")
    monkeypatch.setattr(grid, "prepare_for_crops", detector)
    (tmp_path / "run").mkdir()
    run, data = replace(run, folder=tmp_path / "run"), link_media(scenes, tmp_path / "data")
    rows = [row for row in grid.ROWS if row.name == "mono-yolo"]
    assert "mono, objects" in grid.ablation(run, data, rows=rows, **OPTIONS)
    assert (data / "detections.parquet").exists()


def test_spatially_valid_clips(run: Run, scenes: Path) -> None:
    assert grid._valid_clips(scenes)
    assert all(name < "scene0008" for name in grid._valid_clips(scenes))
