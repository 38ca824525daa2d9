"""Tables of runs: seeds of one method are one row, and differences are paired."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avsa_fast.config import PRESETS, save_config
from avsa_fast.errors import UserError
from avsa_fast.evaluate.cases import read_cases, write_scores
from avsa_fast.evaluate.cli import main
from avsa_fast.evaluate.compare import compare
from avsa_fast.evaluate.metrics import Cases

GROUPS = [f"clip{number // 2}" for number in range(100)]


def evaluated(folder: Path, seed: int, accuracy: float, error: float = 20.0, steps: int = 240) -> Path:
    """A run with the cases of two metrics."""
    rng = np.random.default_rng([seed, steps])
    (folder / "eval").mkdir(parents=True)
    save_config(replace(PRESETS["tiny"], seed=seed, steps=steps), folder / "config.yaml")
    scores = {
        "avsa_matching": Cases(rng.random((1, 100)) < accuracy, GROUPS, 0.25),
        "angular_error": Cases(error + rng.random((1, 100)), GROUPS, 90.0),
    }
    write_scores(folder / "eval", "avsa", scores)
    return folder


def test_seeds_of_a_method_are_one_row(tmp_path: Path) -> None:
    short = [evaluated(tmp_path / f"short{seed}", seed, 0.4) for seed in range(3)]
    long = [evaluated(tmp_path / f"long{seed}", seed, 0.8, error=9.0, steps=480) for seed in range(3)]
    lines = compare([*short, *long]).splitlines()
    assert lines[0] == "| | seeds | avsa_matching | angular_error |"
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| short0, short1, short2", "3"], ["| long0, long1, long2", "3"],
        ["| long0, long1, long2 minus short0, short1, short2", "3"],
    ]  # fmt: skip
    cells = lines[-1].split(" | ")
    assert cells[2].endswith("better")
    assert re.fullmatch(r"-1[01]\.\d° \[-11\.\d°, -1[01]\.\d°\]: better \|", cells[3])  # smaller errors are better


def test_better_is_only_said_of_intervals_without_zero(tmp_path: Path) -> None:
    first, second = evaluated(tmp_path / "a", 0, 0.5), evaluated(tmp_path / "b", 0, 0.52, steps=480)
    assert "no difference shown" in compare([first, second]).splitlines()[-1].split(" | ")[2]


def test_cases_are_written_and_read(tmp_path: Path) -> None:
    trials = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    metrics = write_scores(tmp_path, "avc", {"avc_bin": Cases(trials, ["a", "b", "b"], 0.5)})
    read = read_cases(tmp_path / "cases" / "avc.json")["avc_bin"]
    assert (read.values.tolist(), read.groups, read.chance) == ([[0.5, 0.0, 1.0]], ["a", "b", "b"], 0.5)
    assert json.loads((tmp_path / "avc.json").read_text()) == metrics
    for damaged in ("[]", '{"avc_bin": 1}', '{"avc_bin": {"values": [2], "groups": ["a"], "statistic": "mean"}}',
                    '{"avc_bin": {"values": [1], "groups": [], "statistic": "mean"}}', "{"):  # fmt: skip
        (tmp_path / "cases" / "avc.json").write_text(damaged)
        with pytest.raises(UserError, match=r"avc\.json: "):
            read_cases(tmp_path / "cases" / "avc.json")


def test_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    first = evaluated(tmp_path / "a", 0, 0.5)
    with pytest.raises(UserError, match="the same configuration and seed as another run"):
        compare([first, first])
    other = evaluated(tmp_path / "b", 1, 0.5)
    write_scores(other / "eval", "avsa", {"avsa_matching": Cases(np.ones((1, 2)), ["x", "y"], 0.25)})
    with pytest.raises(UserError, match="avsa_matching: the runs were evaluated on different clips"):
        compare([first, other])
    write_scores(other / "eval", "avsa", {"avc_matching": Cases(np.ones((1, 2)), ["x", "y"], 0.25)})
    with pytest.raises(UserError, match="no metric in common"):
        compare([first, other])
    save_config(PRESETS["tiny"], tmp_path / "config.yaml")
    with pytest.raises(UserError, match=r"not evaluated; python -m avsa_fast\.evaluate"):
        compare([tmp_path])
    with pytest.raises(UserError, match="nothing to do: --task"):
        main(first)
