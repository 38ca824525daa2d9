"""Scoring of files and folders, and the choice among the commands of the module."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from helpers.commands import invoke

from avsa_fast.command import run_subcommand
from avsa_fast.seld import scores
from avsa_fast.seld.cli import COMMANDS, main, score


def write(path: Path, distance: float | None, turn: float = 0.0, frames: int = 20) -> list[list[float]]:
    """Writes a list with one event in each frame, and returns its rows with a distance in centimetres."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [[frame, frame % 3, 0, frame + turn, 10.0] for frame in range(frames)]
    end = "" if distance is None else f",{distance}"
    path.write_text("".join(",".join(map(str, row)) + end + "\n" for row in rows))
    return [[*row, 150.0] for row in rows]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Annotations in folders, and flat predictions that are turned by 6° and 12°, with distances in metres."""
    for name, folder, turn in (("a", "dev-test-one", 6.0), ("b", "dev-test-two", 12.0)):
        write(tmp_path / "metadata" / folder / f"{name}.csv", 150)
        write(tmp_path / "predicted" / f"{name}.csv", 1.5, turn)
    return tmp_path / "metadata", tmp_path / "predicted"


def test_folders(folders: tuple[Path, Path], tmp_path: Path) -> None:
    reference, prediction = folders
    done = invoke(score, "seld score", reference, prediction, "--classes", 3, "--out", tmp_path / "scores.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "DCASE 2024, 2 recordings"
    found = json.loads((tmp_path / "scores.json").read_text())
    level = [[frame, frame % 3, 0, float(frame), 10.0, 150.0] for frame in range(20)]
    turned = {name: [[*row[:3], row[3] + turn, *row[4:]] for row in level] for name, turn in (("a", 6.0), ("b", 12.0))}
    for average in ("macro", "micro"):
        expected = scores({"a": level, "b": level}, turned, n_classes=3, average=average)
        for key in expected.keys() - {"classwise"}:
            assert found[average][key]["value"] == expected[key]
    low, high = (found["micro"]["angular_error"][bound] for bound in ("low", "high"))
    assert (low + high) / 2 == pytest.approx(found["micro"]["angular_error"]["value"])
    assert len(found["macro"]["classwise"]["f_score"]) == 3
    assert "micro F score 100.0 % [100.0 %, 100.0 %]" in " ".join(done.stdout.split())


def test_a_file_of_any_name(tmp_path: Path) -> None:
    write(tmp_path / "true.csv", 150)
    write(tmp_path / "found.csv", 150)
    done = invoke(score, "seld score", tmp_path / "true.csv", tmp_path / "found.csv", "--unit", "cm", "--classes", 3)
    assert done.returncode == 0, done.stderr
    assert "micro relative distance error 0.000 [-, -]" in " ".join(done.stdout.split())


def test_folders_without_predictions_are_passed_over(folders: tuple[Path, Path]) -> None:
    reference, prediction = folders
    write(reference / "dev-train-one" / "c.csv", 150)
    done = invoke(score, "seld score", reference, prediction, "--classes", 3)
    assert done.stdout.splitlines()[0] == "DCASE 2024, 2 recordings"
    assert done.stderr == f"passed over {reference}/dev-train-one: none of its recordings is predicted\n"


def lacking_prediction(reference: Path, prediction: Path) -> None:
    write(reference / "dev-test-two" / "c.csv", 150)


def lacking_annotation(reference: Path, prediction: Path) -> None:
    write(prediction / "c.csv", 1.5)
    write(prediction / "d.csv", 1.5)


def twice(reference: Path, prediction: Path) -> None:
    write(prediction / "again" / "a.csv", 1.5)


def without_distance(reference: Path, prediction: Path) -> None:
    write(prediction / "a.csv", None)


def fourth_class(reference: Path, prediction: Path) -> None:
    (prediction / "a.csv").write_text("0,3,0,0,0,1\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacking_prediction, "predicted: no predictions for c.csv; name folders of the same recordings"),
        (lacking_annotation, "metadata: no annotations for c.csv, nor for 1 others; name folders of the same"),
        (twice, "a.csv: another file of this name is"),
        (without_distance, "a.csv: frame 0 has no distance, which edition 2024 needs; --edition 2023"),
        (fourth_class, "prediction for a: class 3 in frame 0; there are 3, from 0; --classes is their number"),
    ],
)
def test_what_cannot_be_compared(
    folders: tuple[Path, Path], change: Callable[[Path, Path], None], message: str
) -> None:
    change(*folders)
    done = invoke(score, "seld score", *folders, "--classes", 3)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("seld score: ")
    assert message in line


def exit_code(command: Callable[[], None]) -> int:
    try:
        command()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--help"], 0, "predict MODEL FILES --out DIR"),
        (["score", "--help"], 0, "python -m avsa_fast.seld score"),
        (["--debug", "score"], 2, "seld score: "),
        (["guess"], 2, "invalid choice 'guess' for argument 'command'"),
        ([], 2, "seld: "),
    ],
)
def test_choice_of_a_command(words: list[str], code: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["seld", *words])
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        assert exit_code(partial(run_subcommand, COMMANDS, main, "seld")) == code
    assert text in said.getvalue()
