"""Order of the clips in training: no recording twice in a step, and each clip as often as documented."""

from collections import Counter
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsa_fast.data.recordings import recording_of
from avsa_fast.data.visits import Visits, steps_per_epoch

SIZES = st.lists(st.one_of(st.just(1), st.integers(1, 5), st.integers(1, 80)), min_size=1, max_size=40)


def named(sizes: list[int]) -> list[str]:
    """Clips of recordings with these numbers of clips."""
    return [f"r{number}-{second}" for number, size in enumerate(sizes) for second in range(size)]


def steps(visits: Visits, names: list[str], first: int, count: int) -> list[list[str]]:
    """Names of the clips in some steps."""
    return [
        [names[visits.clip(step * visits.per_step + slot)] for slot in range(visits.per_step)]
        for step in range(first, first + count)
    ]


@given(SIZES, st.integers(1, 48), st.integers(1, 3), st.integers(0, 2**32))
def test_no_recording_comes_twice_in_a_step(sizes: list[int], per_step: int, repeats: int, seed: int) -> None:
    """While there are as many recordings as visits in a step; else no recording comes more often than it must."""
    names = named(sizes)
    visits = Visits(names, per_step, repeats, [seed])
    most = 1 if len(sizes) >= per_step else ceil(per_step / len(sizes))
    for step in steps(visits, names, 0, 2 * visits.steps):
        assert max(Counter(map(recording_of, step)).values()) <= most
    assert visits.most == most


@given(SIZES, st.integers(1, 48), st.integers(1, 3), st.integers(0, 2**32))
def test_clips_are_visited_equally_often(sizes: list[int], per_step: int, repeats: int, seed: int) -> None:
    """In every epoch each clip is visited `repeats` times, but for what does not fill a step, if steps have room."""
    names = named(sizes)
    visits = Visits(names, per_step, repeats, [seed])
    assert visits.steps == steps_per_epoch(len(names), per_step, repeats) == max(1, len(names) * repeats // per_step)
    for epoch in range(2):
        counts = Counter(name for step in steps(visits, names, epoch * visits.steps, visits.steps) for name in step)
        assert counts.total() == visits.steps * per_step
        for recording, size in enumerate(sizes):
            of_recording = [counts[name] for name in named(sizes)[sum(sizes[:recording]) :][:size]]
            assert max(of_recording) - min(of_recording) <= 1
        if len(names) * repeats >= per_step and max(sizes) * repeats <= visits.steps:
            assert max(counts.values()) <= repeats
            assert len(names) * repeats - counts.total() < per_step


def test_no_batch_of_a_thousand_holds_a_recording_twice() -> None:
    """As many clips per recording as in a collection of YouTube videos: many of one clip, few of hundreds."""
    sizes = np.random.default_rng(0).zipf(1.6, 500).clip(max=400).tolist()
    names = named(sizes)
    visits = Visits(names, 112, 2, [0, 1])
    for step in steps(visits, names, 0, 1000):
        assert len(set(map(recording_of, step))) == 112


def test_clips_of_a_long_recording_take_turns() -> None:
    """One of 51 recordings has 950 of 1000 clips: it has one visit in each step, and all its clips have their turn."""
    names = named([950] + [1] * 50)
    visits = Visits(names, 20, 1, [3])
    assert visits.steps == 50
    counts = Counter(name for step in steps(visits, names, 0, 50 * 60) for name in step)
    assert sum(counts[name] for name in names[:950]) == 50 * 60
    assert {counts[name] for name in names[:950]} == {3, 4}
    assert {counts[name] for name in names[950:]} == {19 * 60}


def test_epochs_and_seeds_differ() -> None:
    names = named([1] * 64)
    one, again, other = (Visits(names, 8, 2, [seed]) for seed in (0, 0, 1))
    epochs = [steps(one, names, epoch * 16, 16) for epoch in range(3)]
    assert epochs[1] == steps(again, names, 16, 16)
    assert epochs[0] != steps(other, names, 0, 16)
    assert all(first != second for first, second in pairwise(epochs))


def test_companions_in_a_step_are_random() -> None:
    """Two clips of different recordings meet as often as by chance: 7 of 63 others per visit, both with 2 visits."""
    names = named([2] * 64)
    visits = Visits(names, 8, 2, [5])
    epochs = 60
    meetings = Counter(
        frozenset((one, other))
        for step in steps(visits, names, 0, epochs * visits.steps)
        for number, one in enumerate(map(recording_of, step))
        for other in map(recording_of, step[:number])
    )
    # Each recording has 4 visits an epoch, each with 7 companions among 63 recordings.
    expected = epochs * 4 * 7 / 63
    counts = np.array(list(meetings.values()))
    assert len(counts) == 64 * 63 / 2
    assert counts.mean() == pytest.approx(expected)
    assert counts.std() < 1.3 * expected**0.5


def test_unreadable_clips_are_replaced_by_other_recordings() -> None:
    names = named([3] * 40)
    visits = Visits(names, 16, 1, [0])
    for step in range(10):
        first = step * 16
        taken = {recording_of(names[visits.clip(first + slot)]) for slot in range(16)}
        spares = [recording_of(names[visits.clip(first + slot, 1)]) for slot in range(16)]
        assert not taken & set(spares)
        assert len(set(spares)) == 16
        clips = [visits.clip(first, attempt) for attempt in range(16)]
        assert len(set(clips)) == 16


def test_without_other_recordings_any_clip_is_tried() -> None:
    visits = Visits(named([1] * 8), 8, 1, [0])
    assert len({visits.clip(3, attempt) for attempt in range(9)}) == 8
    assert Visits(["a"], 4, 1, [0]).clip(2, 5) == 0
