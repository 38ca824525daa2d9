"""DCASE's metrics against values of the official evaluation, closed forms, and definitions of the intervals."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student_t

from avsa_fast.seld import intervals, scores

CASES = json.loads((Path(__file__).parent / "vectors.json").read_text())["cases"]
PERFECT_ANGLE = np.degrees(np.arccos(1 / (1 + 1e-10)))  # of equal directions, as the official evaluation rounds it


def assert_equal(found: Any, expected: Any) -> None:
    """Compares nested results to 1e-9; None must be None."""
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    elif expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("average", ["macro", "micro"])
@pytest.mark.parametrize("edition", [2023, 2024])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_official_values(case: dict[str, Any], edition: int, average: str) -> None:
    expected = case["expected" if edition == 2024 else "expected_2023"][average]
    found = scores(case["reference"], case["prediction"], n_classes=4, average=average, edition=edition)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert_equal(found[key], value)


def turned(rows: list[list[float]], degrees: float) -> list[list[float]]:
    return [[*row[:3], row[3] + degrees, *row[4:]] for row in rows]


LEVEL = [[frame, frame % 2, 0, 3.0 * frame, 0.0, 200.0] for frame in range(30)]


def test_a_perfect_prediction_is_perfect() -> None:
    for average in ("macro", "micro"):
        found = scores(LEVEL, LEVEL, n_classes=2, average=average)
        assert found["f_score"] == pytest.approx(1)
        assert (found["error_rate"], found["distance_error"], found["relative_distance_error"]) == (0, 0, 0)
        assert found["angular_error"] == pytest.approx(PERFECT_ANGLE, rel=1e-5)


@pytest.mark.parametrize(("degrees", "f_score"), [(15.0, 1.0), (-15.0, 1.0), (19.9, 1.0), (20.1, 0.0), (180.0, 0.0)])
@pytest.mark.parametrize("edition", [2023, 2024])
def test_a_turned_prediction_has_that_angular_error(degrees: float, f_score: float, edition: int) -> None:
    found = scores(LEVEL, turned(LEVEL, degrees), n_classes=2, edition=edition)
    assert found["angular_error"] == pytest.approx(abs(degrees), abs=1e-3)
    assert found["f_score"] == pytest.approx(f_score)
    assert found["localisation_recall"] == pytest.approx(1)


def test_distances_beyond_the_threshold_are_not_found() -> None:
    nearer = [[*row[:5], 450.0] for row in LEVEL]  # 2.5 m too far of 2 m
    found = scores(LEVEL, nearer, n_classes=2)
    assert (found["f_score"], found["distance_error"], found["relative_distance_error"]) == pytest.approx(
        (0, 2.5, 1.25)
    )
    assert scores(LEVEL, nearer, n_classes=2, distance_threshold=1.3)["f_score"] == pytest.approx(1)
    assert scores(LEVEL, nearer, n_classes=2, edition=2023)["f_score"] == pytest.approx(1)


def test_several_events_of_a_class_are_matched_by_least_total_angle() -> None:
    reference = [[0, 0, 0, 0.0, 0.0, 100.0], [0, 0, 1, 30.0, 0.0, 100.0]]
    # The first prediction is nearest to the second event, but then 0° would have to take 50°: 10 + 50 > 20 + 20.
    prediction = [[0, 0, 0, 20.0, 0.0, 100.0], [0, 0, 1, 50.0, 0.0, 100.0]]
    found = scores(reference, prediction, n_classes=1, threshold=20.1)
    assert found["angular_error"] == pytest.approx(20)
    assert found["f_score"] == pytest.approx(1)
    one = scores(reference, prediction[:1], n_classes=1)
    assert (one["angular_error"], one["f_score"], one["localisation_recall"]) == pytest.approx((10, 2 / 3, 1 / 2))


def test_substitutions_count_once() -> None:
    reference, wrong = [[0, 0, 0, 0.0, 0.0, 100.0]], [[0, 1, 0, 0.0, 0.0, 100.0]]
    assert scores(reference, wrong, n_classes=2, average="micro")["error_rate"] == pytest.approx(1)
    later = [[25, 1, 0, 0.0, 0.0, 100.0]]  # a deletion and an insertion, in different frames and segments
    for edition in (2023, 2024):
        assert scores(reference, later, n_classes=2, average="micro", edition=edition)["error_rate"] == pytest.approx(2)


def test_events_of_a_segment_need_not_be_in_the_same_frame() -> None:
    """A class that is in a segment's reference and prediction at other times counts as missed, once."""
    reference, prediction = [[0, 0, 0, 0.0, 0.0]], [[9, 0, 0, 0.0, 0.0]]
    found = scores(reference, prediction, n_classes=1, edition=2023)
    assert (found["error_rate"], found["f_score"], found["localisation_recall"]) == pytest.approx((1, 0, 0))
    assert found["angular_error"] == 180


RECORDINGS = {name: turned(LEVEL, degrees) for name, degrees in (("a", 0.0), ("b", 4.0), ("c", 12.0))}
REFERENCE = dict.fromkeys(RECORDINGS, LEVEL)


def test_recordings_are_summed() -> None:
    found = scores(REFERENCE, RECORDINGS, n_classes=2)
    assert found["angular_error"] == pytest.approx(16 / 3, abs=1e-3)
    missing = scores(REFERENCE, {"a": LEVEL}, n_classes=2, average="micro")
    assert (missing["f_score"], missing["localisation_recall"]) == pytest.approx((1 / (1 + 2 / 2), 1 / 3))


def test_jackknife_of_a_mean_is_students_interval() -> None:
    """Recordings have equally many events, so the angular error is the mean of the recordings'."""
    angles = np.array([PERFECT_ANGLE, 4, 12])
    reach = student_t.ppf(0.975, 2) * angles.std(ddof=1) / sqrt(3)
    bounds = intervals(REFERENCE, RECORDINGS, n_classes=2)["angular_error"]
    assert bounds == pytest.approx((angles.mean() - reach, angles.mean() + reach), rel=1e-4)


def test_bootstrap_resamples_recordings() -> None:
    """Of 27 equally likely draws of three recordings, the lowest and the highest have more than 2.5 % each."""
    bounds = intervals(REFERENCE, RECORDINGS, n_classes=2, method="bootstrap")["angular_error"]
    assert bounds == pytest.approx((PERFECT_ANGLE, 12), abs=1e-3)
    assert intervals({"a": LEVEL}, {"a": LEVEL}, n_classes=2)["f_score"] is None


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        ([[0, 2, 0, 0, 0, 1]], {}, r"reference of the recording: class 2 in frame 0; there are 2, from 0"),
        ([[0, 0, 0, 0, 0]], {}, r"distance None in frame 0; edition 2024 needs the distance of each event"),
        ([[0.5, 0, 0, 0, 0, 1]], {}, r"\(0.5, 0, 0, 0, 0, 1\) is not frame, class"),
        ([[0, 0, 0, float("nan"), 0, 1]], {}, r"is not frame, class"),
        ([], {"edition": 2022}, r"edition must be 2023 or 2024, not 2022"),
        ([], {"average": "both"}, r'average must be "macro" or "micro"'),
        ([], {"threshold": -1}, r"threshold must be at least 0"),
        ([], {"n_classes": 0}, r"n_classes must be at least 1"),
        ({}, {}, r"must both be lists of rows"),
    ],
)
def test_invalid_arguments(reference: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores(reference, [], **{"n_classes": 2} | options)


def test_a_predicted_recording_must_have_a_reference() -> None:
    with pytest.raises(ValueError, match="prediction: b is not in reference"):
        scores({"a": []}, {"b": []}, n_classes=1)
