from collections import Counter
from time import process_time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsa_fast.data.directions import Detections, avc_direction, avsa_directions, random_directions
from avsa_fast.data.tables import DETECTIONS

angles = st.floats(-np.pi, np.pi)
objects = st.lists(st.tuples(angles, st.floats(-np.pi / 2, np.pi / 2)), max_size=8).map(
    lambda rows: np.array(rows).reshape(-1, 2)
)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def row(name: str, time: float, azimuth: float, score: float = 0.9) -> dict[str, object]:
    return {"name": name, "time": time, "azimuth": azimuth, "elevation": -azimuth / 4, "score": score}


def detections_of(rows: list[dict[str, object]]) -> Detections:
    return Detections(pa.table({name: [row[name] for row in rows] for name in row("", 0.0, 0.0)}))


@settings(max_examples=50)
@given(objects, seeds)
def test_avsa_chooses_one_direction_per_quadrant(objects: np.ndarray, rng: np.random.Generator) -> None:
    directions = avsa_directions(objects, rng)
    assert directions.shape == (4, 2)
    for quadrant, direction in enumerate(directions):
        low, high = -np.pi + quadrant * np.pi / 2, -np.pi + (quadrant + 1) * np.pi / 2
        # +π is the same azimuth as -π, so it belongs to the first quadrant.
        there = [o for o in objects if low <= (o[0] if o[0] < np.pi else -np.pi) < high]
        if there:
            assert any(np.array_equal(direction, o) for o in there)
        else:
            assert low <= direction[0] < high
            assert abs(direction[1]) <= np.pi / 6


@settings(max_examples=30)
@given(objects, seeds)
def test_avc_chooses_an_object_or_a_random_direction(objects: np.ndarray, rng: np.random.Generator) -> None:
    direction = avc_direction(objects, rng)
    assert direction.shape == (2,)
    if len(objects):
        assert any(np.array_equal(direction, o) for o in objects)
    else:
        assert -np.pi <= direction[0] < np.pi
        assert abs(direction[1]) <= np.pi / 6


def test_choices_are_uniform(rng: np.random.Generator) -> None:
    front = np.array([[0.1, 0.0], [0.2, 0.0], [0.3, 0.0]])  # all in one quadrant
    for choose in (lambda: avc_direction(front, rng)[0], lambda: avsa_directions(front, rng)[2, 0]):
        counts = Counter(float(choose()) for _ in range(3000))
        assert set(counts) == {0.1, 0.2, 0.3}
        assert min(counts.values()) > 800
    anywhere = np.array([avc_direction(np.empty((0, 2)), rng) for _ in range(4000)])
    assert np.histogram(anywhere[:, 0], 8, (-np.pi, np.pi))[0].min() > 380
    assert np.histogram(anywhere[:, 1], 4, (-np.pi / 6, np.pi / 6))[0].min() > 850


def test_directions_are_reproducible() -> None:
    one, two = np.random.default_rng(7), np.random.default_rng(7)
    assert np.array_equal(random_directions(one), random_directions(two))


def test_lookup_returns_the_detections_nearest_in_time(rng: np.random.Generator) -> None:
    rows = [row("a", t, az) for t, az in [(0.0, 0.1), (0.5, 0.2), (0.5, 0.3), (2.0, 0.4)]] + [row("b", 1.0, 0.5)]
    rows.append(row("a", 1.5, 0.6, score=0.2))  # below the minimum confidence
    detections = detections_of([rows[i] for i in rng.permutation(len(rows))])
    for time, expected in [(-1, {0.1}), (0.2, {0.1}), (0.3, {0.2, 0.3}), (1.2, {0.2, 0.3}), (1.3, {0.4}), (99, {0.4})]:
        found = detections.at("a", time)
        assert set(found[:, 0]) == expected
        assert np.array_equal(found[:, 1], -found[:, 0] / 4)
    assert detections.at("b", 9.0)[:, 0] == [0.5]
    assert detections.at("c", 0.0).shape == (0, 2)
    assert Detections(DETECTIONS.empty_table()).at("a", 0.0).shape == (0, 2)


def test_lookup_does_not_scan_the_table(rng: np.random.Generator) -> None:
    detections = detections_of([row(f"clip {i % 50}", i / 100, rng.uniform(-3, 3)) for i in range(50_000)])
    start = process_time()  # CPU time of this process, independent of the machine's load
    for _ in range(500):
        detections.at("clip 7", 250.0)
    assert (process_time() - start) / 500 < 1e-3  # a scan takes over 10 ms


@pytest.mark.parametrize("count", [0, 1, 5])
def test_objects_are_not_modified(count: int, rng: np.random.Generator) -> None:
    objects = rng.uniform(-1, 1, (count, 2))
    before = objects.copy()
    avsa_directions(objects, rng)[:] = 0
    assert np.array_equal(objects, before)
