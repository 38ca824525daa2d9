"""Logs and metrics with damaged lines and impossible numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from avsa_fast.errors import UserError
from avsa_fast.report.curves import read_curves
from avsa_fast.report.metrics import read_metrics

GOOD = '{"step": 1, "stage": "avc", "loss": 1.0}\n'


@pytest.mark.parametrize(
    "line",
    [
        "\n", "[]\n", "1\n", '"text"\n', "{\n", '{"loss": 1.0}\n', '{"step": "1", "loss": 1.0}\n',
        '{"step": -5, "loss": 1.0}\n', '{"step": 1e30, "loss": 1.0}\n', '{"step": NaN}\n',
        '{"step": 1, "stage": [1]}\n',
        '{"step": 1, "loss": ' + "1" * 400 + "}\n", '{"step": 1, "loss": ' + "1" * 5000 + "}\n", "[" * 50_000 + "\n",
        '{"step": 1, "name": "' + "x" * 200_000 + '"}\n', "x" * 200_000, "\udcff\n",
    ],
)  # fmt: skip
def test_a_damaged_line_of_the_log_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "log.jsonl").write_bytes((GOOD + line + GOOD).encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"log\.jsonl, line 2: damaged: expected an object") as refusal:
        read_curves(tmp_path)
    assert len(str(refusal.value)) - len(str(tmp_path)) < 300


def test_numbers_of_the_log_that_cannot_be_drawn(tmp_path: Path) -> None:
    losses = [1.0, float("nan"), float("inf"), -1e308, 1e308, 1e308, 3.0]
    lines = [json.dumps({"step": i, "stage": "avc", "loss": loss}) for i, loss in enumerate(losses, start=1)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n" + '{"step": 8')
    (curve,) = read_curves(tmp_path)
    assert curve["traces"] == [{"name": "AVC", "x": [1, 7], "y": [1.0, 3.0]}]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("avc_matching", {"value": float("nan")}), ("avc_matching", {"value": -5}), ("avc_matching", {"value": 1e30}),
        ("avc_matching", {"value": float("-inf")}), ("avc_matching", {"value": 10**400}),
        ("avc_matching", {"value": 0.5, "low": -0.1}), ("avc_matching", {"value": 0.5, "chance": 2}),
        ("avc_matching", {"value": 0.5, "n": -3}), ("avc_matching", {"value": 0.5, "n": float("inf")}),
        ("avc_matching", {"value": 0.5, "n": 1e30}), ("angular_error", {"value": 200.0}),
        ("median_rank", {"value": 1e30}),
        ("test_median_rank", {"value": 0.5}),
    ],
)  # fmt: skip
def test_impossible_metrics(tmp_path: Path, name: str, fields: dict[str, Any]) -> None:
    content = json.dumps({name: {"value": 0.5} | fields})
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(
        UserError, match=rf"metrics\.json: {name}: \w+ \S+ is not possible: expected .*; remove the file"
    ):
        read_metrics(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"value": ' + "1" * 5000 + "}", "\x00"])
def test_what_is_no_file_of_metrics(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.json: not a readable file of metrics: ") as refusal:
        read_metrics(tmp_path)
    assert len(str(refusal.value)) - len(str(tmp_path)) < 300


def test_other_content_is_passed_over(tmp_path: Path) -> None:
    for content in ("1", "null", '{"a": [1, "x", null, {"value": true}]}', '{"value": "x"}'):
        (tmp_path / "metrics.json").write_text(content)
        assert read_metrics(tmp_path) == []
