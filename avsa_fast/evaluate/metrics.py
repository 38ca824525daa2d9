"""Metrics with 95 % bootstrap intervals. Whole clips are resampled, since moments of one clip are not independent."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from avsa_fast.files import write_text

from .metric_formats import format_of

RESAMPLES = 2000
CHUNK = 4_000_000  # bootstrap weights computed at once, which bounds memory


class Metric(TypedDict):
    """A metric with its 95 % interval.

    Attributes:
        value: The metric.
        low: Lower bound of the interval; None if there is only one clip to resample.
        high: Upper bound, likewise.
        chance: Chance level, if known.
        n: Number of cases.
    """

    value: float
    low: float | None
    high: float | None
    chance: float | None
    n: int


def bootstrap_metric(
    values: ArrayLike, clips: Sequence[str], chance: float | None, *, statistic: Literal["mean", "median"] = "mean"
) -> Metric:
    """Computes a mean or median with its percentile bootstrap interval, resampling clips.

    The resampling is seeded: equal values give equal intervals. With an even number of values the median is the lower
    of the two middle ones.

    Args:
        values: [n], one value per case.
        clips: [n], the clip (or group) of each case.
        chance: Chance level of the metric, if known.
        statistic: "mean" or "median".

    Returns:
        The metric.

    Raises:
        ValueError: If n is 0.
    """
    cases = np.asarray(values, np.float64)
    if not len(cases):
        raise ValueError("a metric needs at least one case")
    order = np.argsort(cases, kind="stable")
    cases, (names, group) = cases[order], np.unique(np.asarray(clips)[order], return_inverse=True)
    estimate = _median if statistic == "median" else _mean
    low = high = None
    if len(names) > 1:
        rng = np.random.default_rng(0)
        rows = max(1, CHUNK // len(cases))
        draws = [
            estimate(cases, rng.multinomial(len(names), np.full(len(names), 1 / len(names)), count)[:, group])
            for count in np.diff([*range(0, RESAMPLES, rows), RESAMPLES])
        ]
        low, high = (float(x) for x in np.percentile(np.concatenate(draws), [2.5, 97.5]))
    value = float(estimate(cases, np.ones((1, len(cases))))[0])
    return {"value": value, "low": low, "high": high, "chance": chance, "n": len(cases)}


def bootstrap_trials(trials: ArrayLike, clips: Sequence[str], chance: float) -> Metric:
    """Computes a mean over repeated trials with its percentile bootstrap interval, resampling trials and clips.

    For values that vary more between trials than between clips.

    Args:
        trials: [S, n], one value per trial and case.
        clips: [n], the clip of each case.
        chance: Chance level of the metric.

    Returns:
        The metric.

    Raises:
        ValueError: If S or n is 0.
    """
    cases = np.asarray(trials, np.float64)
    if not cases.size:
        raise ValueError("a metric needs at least one case")
    S, n = cases.shape
    names, group = np.unique(np.asarray(clips), return_inverse=True)
    low = high = None
    if len(names) > 1:
        rng = np.random.default_rng(0)
        sums = np.stack([np.bincount(group, row) for row in cases])  # [S, clips]
        clip_weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)  # [B, clips]
        trial_weights = rng.multinomial(S, np.full(S, 1 / S), RESAMPLES) / S  # [B, S]
        means = (trial_weights @ sums * clip_weights).sum(axis=1) / (clip_weights @ np.bincount(group))
        low, high = (float(x) for x in np.percentile(means, [2.5, 97.5]))
    return {"value": float(cases.mean()), "low": low, "high": high, "chance": chance, "n": n}


def _mean(cases: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means: cases [n], weights [B, n] -> [B]."""
    return weights @ cases / weights.sum(axis=1)


def _median(cases: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted medians of sorted cases [n] with weights [B, n]: [B]."""
    total = weights.cumsum(axis=1)
    return cases[(total >= total[:, -1:] / 2).argmax(axis=1)]


def write_metrics(path: Path, metrics: Mapping[str, Metric]) -> None:
    """Writes metrics as JSON, replacing the file atomically.

    Args:
        path: File to write, in an existing folder.
        metrics: Metrics by name.

    Raises:
        WriteError: It cannot be written.
    """
    write_text(path, json.dumps(metrics, indent=2) + "\n")


def format_metric(name: str, metric: Metric) -> str:
    """Formats a metric as one line of text, in the unit of `metric_formats`.

    Args:
        name: Name of the metric.
        metric: The metric.

    Returns:
        The line.
    """
    shown = (metric["value"], metric["low"], metric["high"], metric["chance"])
    value, low, high, chance = (format_of(name).show(number) for number in shown)
    return f"{name:<28} {value:>9}  [{low}, {high}]  (chance {chance}, n = {metric['n']})"
