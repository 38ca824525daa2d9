"""Intervals over training seeds and recordings together, for single figures and for paired differences.

Runs that differ only in their seed vary more than the test recordings do, and there are few of them: a percentile
bootstrap of three seeds covers far less than it states. The variance of the mean is the sum of that over seeds and of
that over recordings; the interval is Student's t, with Satterthwaite's degrees of freedom.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

LEVEL = 0.95
FloatArray = NDArray[np.float64]


class Interval(NamedTuple):
    """A mean with its 95 % interval; `low` and `high` are None if neither seeds nor recordings tell a variance."""

    value: float
    low: float | None
    high: float | None


def interval(values: FloatArray, groups: Sequence[str]) -> Interval:
    """Computes the mean of a metric over S training seeds with its interval.

    For a difference between two methods, `values` are the differences case by case, seed by seed, so that what both
    share cancels.

    Args:
        values: [S, n], one value per seed and test case; the cases are the same for each seed.
        groups: Name of each case's recording [n]; cases of one recording are not independent.

    Returns:
        The interval. With one seed it does not contain the variance of training.
    """
    S = len(values)
    parts = []  # variances of the mean, with their degrees of freedom
    if S > 1:
        parts.append((float(values.mean(axis=1).var(ddof=1)) / S, S - 1))
    if (number := len(set(groups))) > 1:
        parts.append((_variance_over_groups(values.mean(axis=0), groups), number - 1))
    value, variance = float(values.mean()), sum(part for part, _ in parts)
    if not parts:
        return Interval(value, None, None)
    if variance == 0:
        return Interval(value, value, value)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * variance**0.5
    return Interval(value, value - reach, value + reach)


def _variance_over_groups(values: FloatArray, groups: Sequence[str]) -> float:
    """Variance of the mean of values [n] if groups are drawn anew: what a bootstrap of groups converges to.

    It is that of the ratio of the groups' sums to their sizes, to first order, with the correction of a finite number
    of groups (Cochran, Sampling Techniques, 1977, section 9A.5).
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    residuals = np.bincount(group, values - values.mean())
    return float(len(names) / (len(names) - 1) * (residuals**2).sum() / len(values) ** 2)
