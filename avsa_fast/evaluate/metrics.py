"""Metrics of one run with 95 % bootstrap intervals.

Whole recordings are resampled, since moments of one are not independent, and so are repeated trials, such as
classifiers with other seeds. The variance of training itself needs several runs: see `uncertainty`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from .metric_formats import format_of

RESAMPLES = 2000
CHUNK = 4_000_000  # bootstrap weights computed at once, which bounds memory


class Metric(TypedDict):
    """A metric with its 95 % interval.

    Attributes:
        value: The metric.
        low: Lower bound of the interval; None if there is only one recording to resample.
        high: Upper bound, likewise.
        chance: Chance level, if known.
        n: Number of cases.
    """

    value: float
    low: float | None
    high: float | None
    chance: float | None
    n: int


@dataclass(frozen=True)
class Cases:
    """Values of a metric case by case, from which its mean or median and its interval are computed.

    Attributes:
        values: float or bool [T, n], one value per trial and case.
        groups: Name of each case's recording [n]; cases of one are not independent.
        chance: Chance level, if known.
        statistic: "mean" or "median".

    Raises:
        ValueError: If there is no case.
    """

    values: np.ndarray
    groups: Sequence[str]
    chance: float | None
    statistic: Literal["mean", "median"] = "mean"

    def __post_init__(self) -> None:
        if not self.values.size:
            raise ValueError("a metric needs at least one case")

    def metric(self) -> Metric:
        """Computes the metric with its percentile bootstrap interval, resampling groups and trials.

        The resampling is seeded: equal values give equal intervals. With an even number of values the median is the
        lower of the two middle ones.
        """
        if self.statistic == "median":
            return _median_metric(np.asarray(self.values, np.float64).ravel(), self.groups, self.chance)
        return _mean_metric(np.asarray(self.values, np.float64), self.groups, self.chance)


def _mean_metric(cases: np.ndarray, groups: Sequence[str], chance: float | None) -> Metric:
    """Mean of trials [T, n]."""
    T, n = cases.shape
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    low = high = None
    if len(names) > 1:
        rng = np.random.default_rng(0)
        sums = np.stack([np.bincount(group, row) for row in cases])  # [T, groups]
        group_weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)  # [B, groups]
        trial_weights = rng.multinomial(T, np.full(T, 1 / T), RESAMPLES) / T  # [B, T]
        means = (trial_weights @ sums * group_weights).sum(axis=1) / (group_weights @ np.bincount(group))
        low, high = (float(x) for x in np.percentile(means, [2.5, 97.5]))
    return {"value": float(cases.mean()), "low": low, "high": high, "chance": chance, "n": n}


def _median_metric(cases: np.ndarray, groups: Sequence[str], chance: float | None) -> Metric:
    """Median of values [n]."""
    order = np.argsort(cases, kind="stable")
    cases, (names, group) = cases[order], np.unique(np.asarray(groups)[order], return_inverse=True)
    low = high = None
    if len(names) > 1:
        rng = np.random.default_rng(0)
        rows = max(1, CHUNK // len(cases))
        draws = [
            _median(cases, rng.multinomial(len(names), np.full(len(names), 1 / len(names)), count)[:, group])
            for count in np.diff([*range(0, RESAMPLES, rows), RESAMPLES])
        ]
        low, high = (float(x) for x in np.percentile(np.concatenate(draws), [2.5, 97.5]))
    value = float(_median(cases, np.ones((1, len(cases))))[0])
    return {"value": value, "low": low, "high": high, "chance": chance, "n": len(cases)}


def _median(cases: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted medians of sorted cases [n] with weights [B, n]: [B]."""
    total = weights.cumsum(axis=1)
    return cases[(total >= total[:, -1:] / 2).argmax(axis=1)]


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
    return f"{name:<38} {value:>9}  [{low}, {high}]  (chance {chance}, n = {metric['n']})"
