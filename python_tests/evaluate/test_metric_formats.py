"""Metrics are printed in their units: shares in per cent, ranks and angles as numbers."""

import re
from pathlib import Path

import pytest
import torch

from avsa_fast.evaluate.metric_formats import FORMATS, format_of
from avsa_fast.evaluate.metrics import Metric, format_metric
from avsa_fast.evaluate.pairs import Pairs
from avsa_fast.evaluate.pretext import retrieval
from avsa_fast.run import Run

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("avc_bin_shuffled_labels", 0.5, "50.0%"),
        ("avsa_bin", 1.0, "100.0%"),
        ("avsa_matching", 0.25, "25.0%"),
        ("video_to_audio_recall_at_10", 1.0, "100.0%"),
        ("video_to_audio_median_rank", 1.0, "rank 1.0"),
        ("audio_to_video_median_rank", 5.5, "rank 5.5"),
        ("angular_error", 0.875, "0.9°"),
        ("median_angular_error", 90.0, "90.0°"),
        ("energy_angular_error", 12.5, "12.5°"),
        ("accuracy_20_degrees", 0.03, "3.0%"),
        ("energy_accuracy_20_degrees", 1.0, "100.0%"),
        ("linear_clip_at_1", 0.1, "10.0%"),
        ("knn_video_at_1_shuffled_labels", 0.1, "10.0%"),
        ("of_another_tool", 0.1, "0.1"),
        ("avsa_bin", None, "–"),
    ],
)
def test_values_have_the_unit_of_their_metric(name: str, value: float | None, text: str) -> None:
    assert format_of(name).show(value) == text


def test_rank_of_one_clip_is_not_a_share(run: Run) -> None:
    """Its chance level is 1, which does not make it a share."""
    views = torch.randn(1, 4, run.model.video_encoder.embedding)
    sounds = torch.randn(1, 4, run.model.audio_encoder.embedding)
    metrics = retrieval(run, Pairs(["a"], [0], views, views, sounds, sounds[None]))
    line = format_metric("video_to_audio_median_rank", metrics["video_to_audio_median_rank"].metric())
    assert re.split(r"  +", line)[-1] == "(chance rank 1.0, n = 1)"
    assert "%" not in line


def test_a_line_has_all_parts() -> None:
    metric: Metric = {"value": 12.5, "low": 9.0, "high": 17.25, "chance": 90.0, "n": 40}
    assert re.sub(" +", " ", format_metric("angular_error", metric)) == (
        "angular_error 12.5° [9.0°, 17.2°] (chance 90.0°, n = 40)"
    )


def test_documentation_shows_the_table() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = [f"| `{entry.names}` | {entry.meaning} | {entry.show(1.0)} |" for entry in FORMATS]
    assert "\n".join(["| metric | value | 1 is printed as |", "|---|---|---|", *rows]) in page
