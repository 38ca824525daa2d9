"""The command that writes the tables of docs/results.md, at a size that takes a minute or two."""

import sys
from pathlib import Path

import pytest
from helpers.commands import run

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("table", ["panoramas", "instances"])
def test_table_is_computed_once(assets: Path, tmp_path: Path, table: str) -> None:
    line = [
        sys.executable, ROOT / "experiments" / "results.py", tmp_path, "--assets", assets, "--tables", table,
        "--kinds", "6", "--scenes", "6", "--seconds", "1", "--steps", "2", "--moments", "1", "--seeds", "1",
        "--classifiers", "1", "--workers", "0",
    ]  # fmt: skip
    run(*line, check=True)
    rows = (tmp_path / table / "run" / "eval" / "ablation.md").read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows[2:6]] == [
        "| as the run", "| FOA, objects", "| untrained", "| only AVC",
    ]  # fmt: skip
    material = tmp_path / table / "material"
    pictures = {split: {p.name for p in (material / f"{split}-panoramas").iterdir()} for split in ("train", "test")}
    assert pictures["train"] | pictures["test"] == {path.name for path in (assets / "panoramas").glob("*.jpg")}
    assert not pictures["train"] & pictures["test"]
    assert min(map(len, pictures.values())) >= 3
    objects = {split: {p.stem for p in (material / split).iterdir()} for split in ("train", "test")}
    if table == "panoramas":
        assert objects["train"] == objects["test"]
        assert len(objects["train"]) == 6
    else:
        assert not objects["train"] & objects["test"]
    again = run(*line, check=True)
    assert "training" not in again.stderr
    assert again.stdout.splitlines() == [*rows, ""]
