from math import pi

import numpy as np
import pytest
from numpy.typing import NDArray

from avsa_fast.prepare.agreement import (
    ALTERNATIVES,
    MIN_CLIPS,
    MIN_SIGMAS,
    Objects,
    Sounds,
    agreement,
    disagreement,
)

TIMES = np.arange(40) + 0.5


def vectors(azimuths: NDArray[np.float64], elevations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors y, z, x."""
    level = np.cos(elevations)
    return np.stack([level * np.sin(azimuths), np.sin(elevations), level * np.cos(azimuths)], axis=1)


def misread(sounds: Sounds, name: str) -> Sounds:
    """Sounds that are right by an alternative."""
    order, signs = ALTERNATIVES[name]
    read = np.empty_like(sounds.vectors)
    read[:, order] = sounds.vectors * np.array(signs)
    return Sounds(sounds.times, read)


def walk(rng: np.random.Generator, turn: float = 2 * pi) -> tuple[Sounds, Objects]:
    """A talker who walks around, and a silent object."""
    azimuths = rng.uniform(-pi, pi) + turn * TIMES / len(TIMES)
    heard = azimuths + rng.normal(0, np.radians(8), len(TIMES))
    silent = np.full(len(TIMES), rng.uniform(-pi, pi))
    objects = Objects(np.tile(TIMES, 2), np.concatenate([azimuths, silent]))
    return Sounds(TIMES, vectors(heard, rng.normal(0, np.radians(10), len(TIMES)))), objects


def still(rng: np.random.Generator) -> tuple[Sounds, Objects]:
    """A source that does not move, and two silent objects."""
    azimuths = rng.uniform(-pi, pi, 3)
    heard = azimuths[0] + rng.normal(0, np.radians(8), len(TIMES))
    objects = Objects(np.tile(TIMES, 3), np.repeat(azimuths, len(TIMES)))
    return Sounds(TIMES, vectors(heard, rng.normal(0, np.radians(10), len(TIMES)))), objects


IN_ONE_CLIP = [name for name in ALTERNATIVES if "W X Y Z" not in name]


@pytest.mark.parametrize("name", IN_ONE_CLIP)
def test_a_walk_shows_what_is_exchanged(name: str, rng: np.random.Generator) -> None:
    sounds, objects = walk(rng)
    assert disagreement(sounds, objects) is None
    found = disagreement(misread(sounds, name), objects)
    assert found is not None
    assert found.name == name
    assert found.alternative < 10
    assert found.angle > 20
    assert found.odds > 6


def test_one_direction_proves_nothing(rng: np.random.Generator) -> None:
    for _ in range(20):
        sounds, objects = still(rng)
        for name in IN_ONE_CLIP:
            assert disagreement(misread(sounds, name), objects) is None


def test_unrelated_sounds_cause_few_alarms(rng: np.random.Generator) -> None:
    """At most 1 % of clips, by Markov's inequality: of 300, more than 12 have a probability below 1e-4."""
    alarms = 0
    for _ in range(300):
        _, objects = still(rng)
        sounds = Sounds(TIMES, vectors(rng.uniform(-pi, pi, len(TIMES)), np.zeros(len(TIMES))))
        alarms += disagreement(sounds, objects) is not None
    assert alarms <= 12


def test_objects_all_around_prove_nothing() -> None:
    around = np.arange(-180, 180, 10) / 180 * pi
    objects = Objects(np.tile(TIMES, 36), np.repeat(around, len(TIMES)))
    sounds = Sounds(TIMES, vectors(TIMES / len(TIMES) * 2 * pi, np.zeros(len(TIMES))))
    assert disagreement(sounds, objects) is None


def test_objects_at_other_times_do_not_count(rng: np.random.Generator) -> None:
    sounds, objects = walk(rng)
    assert disagreement(misread(sounds, IN_ONE_CLIP[0]), Objects(objects.times + 100, objects.azimuths)) is None


def test_no_sounds_or_objects(rng: np.random.Generator) -> None:
    sounds, objects = walk(rng)
    nothing = np.zeros(0)
    assert disagreement(Sounds(nothing, np.zeros((0, 3))), objects) is None
    assert disagreement(sounds, Objects(nothing, nothing)) is None
    above = Sounds(TIMES, vectors(TIMES, np.full(len(TIMES), 1.5)))
    assert disagreement(above, objects) is None


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_many_still_clips_show_what_is_exchanged(name: str, rng: np.random.Generator) -> None:
    sounds, objects = zip(*(still(rng) for _ in range(60)), strict=True)
    right = agreement(sounds, objects)
    assert max(right, key=lambda key: right[key]) == "as read"
    assert right["as read"] > MIN_SIGMAS
    wrong = agreement([misread(clip, name) for clip in sounds], objects)
    assert max(wrong, key=lambda key: wrong[key]) == name
    assert wrong[name] > wrong["as read"] + MIN_SIGMAS


def test_unrelated_clips_do_not_agree(rng: np.random.Generator) -> None:
    sounds, objects = zip(*(still(rng) for _ in range(60)), strict=True)
    unrelated = agreement(sounds, objects[1:] + objects[:1])
    assert max(unrelated.values()) < MIN_SIGMAS
    front = [Objects(clip.times, 0 * clip.azimuths) for clip in objects]  # the same picture in all clips
    assert set(agreement(sounds, front).values()) == {0.0}


def test_few_clips_are_not_judged(rng: np.random.Generator) -> None:
    sounds, objects = zip(*(still(rng) for _ in range(MIN_CLIPS - 1)), strict=True)
    assert agreement(sounds, objects) == {}
