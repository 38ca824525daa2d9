"""All commands in sequence, as users run them: scenes, train, evaluate, embed, report, prepare, export."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import commands

SCENES = 10  # two are held out, as retrieval needs
pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]


def run(name: str, *arguments: object) -> str:
    """Runs a command of the package; returns its output."""
    return commands.run(*commands.module(name), *arguments, check=True).stdout


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("end_to_end") / "scenes"
    run("scenes", folder, "--count", SCENES, "--seconds", 1.5)
    return folder


@pytest.fixture(scope="module")
def trained(scenes: Path) -> Path:
    folder = scenes.parent / "run"
    run("train", "--data", scenes, "--preset", "tiny", "--steps", 4, "--batch", 8, "--out", folder)
    return folder


def test_train(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert {name: metrics[name]["chance"] for name in metrics} == {"avc_matching": 1 / 16, "avsa_matching": 1 / 4}
    steps = [json.loads(line)["step"] for line in (trained / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert steps == [1, 2, 3, 4]


def test_evaluate(trained: Path) -> None:
    printed = run(
        "evaluate", trained, "--moments", 1, "--classifiers", 1, "--task", "avsa", "retrieval", "localisation"
    )
    assert "avsa_matching" in printed
    assert {path.stem for path in (trained / "eval").glob("*.json")} == {"avsa", "retrieval", "localisation"}


def test_embed(trained: Path, scenes: Path, tmp_path: Path) -> None:
    video = min((scenes / "video").iterdir())
    run("embed", trained, video, "--out", tmp_path / "embeddings.parquet", "--hop", 0.5)
    table = pq.read_table(tmp_path / "embeddings.parquet")
    assert set(table.column("modality").to_pylist()) == {"video"}
    assert len(table.column("embedding")[0]) == 128


def test_report(trained: Path, scenes: Path) -> None:
    run("report", trained)
    assert "<svg" in (trained / "report.html").read_text(encoding="utf-8")
    run("report", "--dataset", scenes)


def test_prepare(scenes: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for kind in ("video", "audio"):
        (source / kind).symlink_to(scenes / kind)
    run("prepare", source, target, "--detector", "none", "--transcode")
    assert pq.read_table(target / "index.parquet").column("state").to_pylist() == ["ok"] * SCENES
    assert f"{SCENES} clips" in " ".join(run("prepare", "--check", target).split())


def test_export(trained: Path, tmp_path: Path) -> None:
    run("export", trained, tmp_path / "exported")
    assert any((tmp_path / "exported").iterdir())
