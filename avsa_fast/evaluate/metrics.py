"""Metrics with 95 % bootstrap intervals. Whole clips are resampled, since moments of one clip are not independent."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike

RESAMPLINGS = 2000
CHUNK = 4_000_000  # bootstrap weights computed at once, which bounds memory


class Metric(TypedDict):
    """A metric with its 95 % interval, chance level and number n of cases.

    low and high are None if there is only one clip to resample.
    """

    value: float
    low: float | None
    high: float | None
    chance: float | None
    n: int


def bootstrap_metric(
    values: ArrayLike, clips: Sequence[str], chance: float | None, *, statistic: Literal["mean", "median"] = "mean"
) -> Metric:
    """Mean or median with its percentile bootstrap interval, resampling clips.

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
            for count in np.diff([*range(0, RESAMPLINGS, rows), RESAMPLINGS])
        ]
        low, high = (float(x) for x in np.percentile(np.concatenate(draws), [2.5, 97.5]))
    value = float(estimate(cases, np.ones((1, len(cases))))[0])
    return {"value": value, "low": low, "high": high, "chance": chance, "n": len(cases)}


def bootstrap_trials(trials: ArrayLike, clips: Sequence[str], chance: float) -> Metric:
    """Mean over repeated trials with its percentile bootstrap interval, resampling both trials and clips.

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
        by_clip = np.stack([np.bincount(group, row) for row in cases])  # [S, clips]
        clip = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLINGS)  # [B, clips]
        trial = rng.multinomial(S, np.full(S, 1 / S), RESAMPLINGS) / S  # [B, S]
        means = (trial @ by_clip * clip).sum(axis=1) / (clip @ np.bincount(group))
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
    """Writes metrics as JSON, replacing the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def format_metric(name: str, metric: Metric) -> str:
    """A metric as one line of text. Values are shown in per cent if the chance level is at most 1."""
    share = metric["chance"] is not None and metric["chance"] <= 1
    shown = (metric["value"], metric["low"], metric["high"], metric["chance"])
    value, low, high, chance = ("?" if x is None else f"{x:.1%}" if share else f"{x:.1f}" for x in shown)
    return f"{name:<28} {value:>7}  [{low}, {high}]  (chance {chance}, n = {metric['n']})"
