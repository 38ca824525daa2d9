"""Confidence intervals match those of a bootstrap over clips."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from avsa_fast.evaluate.metrics import Cases, format_metric


def test_interval_matches_scipy(rng: np.random.Generator) -> None:
    values = rng.exponential(size=200)
    ours = Cases(values[None], [str(i) for i in range(200)], None).metric()
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=rng).confidence_interval
    width = theirs.high - theirs.low
    assert ours["value"] == pytest.approx(values.mean())
    assert ours["low"] == pytest.approx(theirs.low, abs=0.12 * width)
    assert ours["high"] == pytest.approx(theirs.high, abs=0.12 * width)


def test_repeated_cases_of_a_clip_do_not_narrow_interval(rng: np.random.Generator) -> None:
    """Repeating every case ten times does not narrow the interval."""
    values = rng.random(50)
    one = Cases(values[None], [str(i) for i in range(50)], 0.5).metric()
    ten = Cases(np.repeat(values, 10)[None], [str(i // 10) for i in range(500)], 0.5).metric()
    assert ten["n"] == 500
    assert (ten["low"], ten["high"]) == pytest.approx((one["low"], one["high"]), abs=0.02)


def test_median_interval_matches_scipy(rng: np.random.Generator) -> None:
    values = rng.normal(size=101)
    metric = Cases(values[None], [str(i) for i in range(101)], None, "median").metric()
    assert metric["value"] == pytest.approx(np.median(values))
    theirs = bootstrap((values,), np.median, method="percentile", n_resamples=4000, rng=rng).confidence_interval
    width = theirs.high - theirs.low
    assert metric["low"] == pytest.approx(theirs.low, abs=0.35 * width)
    assert metric["high"] == pytest.approx(theirs.high, abs=0.35 * width)


def test_differing_trials_widen_interval(rng: np.random.Generator) -> None:
    """Equal trials leave the interval over clips; S trials that are all right or all wrong have std 1 / (2 √S)."""
    clips = [str(i // 2) for i in range(200)]
    values = rng.random(200)
    one, same = (Cases(np.tile(values, (trials, 1)), clips, 0.5).metric() for trials in (1, 9))
    assert (same["low"], same["high"]) == pytest.approx((one["low"], one["high"]), abs=0.02)
    assert same["n"] == 200
    halves = Cases(np.repeat(np.arange(64) % 2, 200).reshape(64, 200), clips, 0.5).metric()
    assert halves["value"] == 0.5
    assert halves["high"] - halves["low"] == pytest.approx(2 * 1.96 / 2 / 8, rel=0.15)
    assert Cases(np.array([[1.0, 0.0]]), ["a", "a"], 0.5).metric()["low"] is None
    with pytest.raises(ValueError, match="at least one case"):
        Cases(np.zeros((0, 3)), ["a"] * 3, 0.5)


def test_single_clip_has_no_interval() -> None:
    metric = Cases(np.array([[True, False]]), ["a", "a"], 0.25).metric()
    assert metric == {"value": 0.5, "low": None, "high": None, "chance": 0.25, "n": 2}
    assert "50.0%  [–, –]  (chance 25.0%, n = 2)" in format_metric("avsa_matching", metric)
