"""The camera stays with an object until another is clearly louder for a second, and moves the short way."""

from math import pi

import numpy as np
import pytest
import torch

from avsa_fast.detect.boxes import SphereBox
from avsa_fast.localise.director import HOLD, MARGIN, Director
from avsa_fast.localise.moments import Moment, SoundingObject

RATE = 2.0
PLACES = {0: (0.5, 0.1), 1: (-1.0, 0.2), 2: (3.0, 0.0)}


def moment(scores: dict[int, float], heat: torch.Tensor | None = None) -> Moment:
    objects = [
        SoundingObject(track, SphereBox(*PLACES[track], 0.2, 0.2, "disc", 0.9), score, (0.0, 0.0))
        for track, score in scores.items()
    ]
    return Moment(0.0, torch.zeros(4, 8) if heat is None else heat, objects)


def followed(director: Director, *scores: dict[int, float]) -> list[int | None]:
    return [(director.goal(moment(each), RATE), director.target)[1] for each in scores]


def test_starts_with_the_loudest() -> None:
    director = Director()
    assert director.goal(moment({0: 0.2, 1: 0.6}), RATE) == PLACES[1]


def test_needs_a_margin_for_a_second() -> None:
    assert HOLD * RATE == 2
    start, little, much = {0: 0.6, 1: 0.2}, {0: 0.6, 1: 0.6 + MARGIN / 2}, {0: 0.2, 1: 0.6}
    assert followed(Director(), start, little, little, little, little) == [0] * 5
    assert followed(Director(), start, much, start, much, start) == [0] * 5  # jumps are ignored
    assert followed(Director(), start, much, much, start) == [0, 0, 1, 1]
    # Two rivals that take turns do not count as one.
    assert followed(Director(), {0: 0.3}, {0: 0.3, 1: 0.8}, {0: 0.3, 2: 0.8}, {0: 0.3, 1: 0.8}) == [0] * 4


def test_waits_for_an_object_that_disappears() -> None:
    assert followed(Director(), {0: 0.6, 1: 0.2}, {1: 0.2}, {0: 0.1, 1: 0.15}, {1: 0.2}, {1: 0.2}) == [0, 0, 0, 0, 1]
    director = Director()
    director.goal(moment({0: 0.6}), RATE)
    assert director.goal(moment({}), RATE) is None  # the camera stays


def test_follows_the_map_where_no_object_is_known() -> None:
    heat = torch.zeros(4, 8)
    assert Director().goal(moment({}, heat), RATE) is None
    heat[1, 6] = 1  # columns of 45°, the first centred at 157.5°
    azimuth, elevation = np.radians([157.5 - 6 * 45, 22.5])
    assert Director().goal(moment({}, heat), RATE) == pytest.approx((azimuth, elevation))


def test_moves_the_short_way_across_the_seam() -> None:
    director = Director(azimuth=3.0)
    frames = [number / 16 for number in range(32)]
    path = director.move([0.0, 0.5], [(-3.0, 0.5), (-3.0, 0.5)], frames)
    assert (np.abs(path[:, 0]) > 2.9).all()
    turned = np.unwrap(path[:, 0])
    assert (np.diff(turned) >= 0).all()
    # An exponential approach: after 2 s, 8 time constants, exp(-8) of the way is left.
    assert path[-1] == pytest.approx([-3.0, 0.5], abs=(2 * pi - 6) * 1e-3)
    assert (director.azimuth, director.elevation) == pytest.approx(tuple(path[-1]))


def test_path_does_not_depend_on_segments_while_it_stays() -> None:
    goals = [(0.3, 0.2)] * 4
    times, frames = [0.25, 0.75, 1.25, 1.75], [number / 16 for number in range(32)]
    whole, parts = Director(azimuth=1.0), Director(azimuth=1.0)
    path = whole.move(times, goals, frames)
    first = parts.move(times[:2], goals[:2], frames[:16])
    np.testing.assert_allclose(np.concatenate([first, parts.move(times[2:], goals[2:], frames[16:])]), path, atol=1e-12)
