"""Intervals over seeds and recordings hold the truth as often as they state."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from avsa_fast.evaluate.uncertainty import interval

REPETITIONS = 400


def simulated(
    rng: np.random.Generator, seeds: int, effect: float, spread: tuple[float, float, float], clusters: int = 40
) -> tuple[np.ndarray, list[str]]:
    """Values [S, n] of 3 cases per recording around an effect, with deviations of seeds, recordings and cases."""
    by_seed, by_group, by_case = spread
    groups = np.repeat(np.arange(clusters), 3)
    values = effect + by_seed * rng.standard_normal((seeds, 1)) + by_group * rng.standard_normal(clusters)[groups]
    return values + by_case * rng.standard_normal((seeds, len(groups))), [str(group) for group in groups]


@pytest.mark.parametrize("seeds", [3, 8])
@pytest.mark.parametrize(
    "spread", [(0.05, 0.1, 0.3), (0.2, 0.1, 0.3), (0.0, 0.5, 0.1)], ids=["both", "seeds", "recordings"]
)
def test_intervals_hold_the_truth(seeds: int, spread: tuple[float, float, float]) -> None:
    rng = np.random.default_rng([seeds, *(int(100 * part) for part in spread)])
    held = 0
    for _ in range(REPETITIONS):
        found = interval(*simulated(rng, seeds, 0.7, spread))
        held += found.low <= 0.7 <= found.high
    assert 0.9 <= held / REPETITIONS <= 0.99


@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_of_differences_hold_the_truth(seeds: int) -> None:
    """What two methods share, here the difficulty of a recording, cancels; the rest does not."""
    rng = np.random.default_rng(seeds)
    held, narrower = 0, 0
    for _ in range(REPETITIONS):
        shared = np.repeat(rng.standard_normal(40), 3)
        first, groups = simulated(rng, seeds, 0.5, (0.05, 0.1, 0.3))
        second, _ = simulated(rng, seeds, 0.6, (0.05, 0.1, 0.3))
        found = interval(second + shared - (first + shared), groups)
        held += found.low <= 0.1 <= found.high
        alone = interval(second + shared, groups)
        narrower += found.high - found.low < alone.high - alone.low
    assert 0.9 <= held / REPETITIONS <= 0.99
    assert narrower > 0.9 * REPETITIONS


def test_seeds_alone_give_students_interval(rng: np.random.Generator) -> None:
    """If all cases of a seed are equal, recordings add nothing."""
    means = rng.random(5)
    values = np.tile(means[:, None], (1, 30))
    found, theirs = interval(values, [str(i // 3) for i in range(30)]), ttest_1samp(means, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    other = rng.random(5)
    paired = interval(values - other[:, None], ["a"] * 30)
    theirs = ttest_rel(means, other).confidence_interval()
    assert (paired.low, paired.high) == pytest.approx((theirs.low, theirs.high))


def test_recordings_alone_give_students_interval(rng: np.random.Generator) -> None:
    values = rng.random(30)
    found, theirs = interval(values[None], [str(i) for i in range(30)]), ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_without_repetition_there_is_no_interval() -> None:
    assert interval(np.array([[0.25, 0.75]]), ["a", "a"]) == (0.5, None, None)
    assert interval(np.full((3, 4), 0.5), ["a", "b", "a", "b"]) == (0.5, 0.5, 0.5)
