"""Which directions a sample's crops look in: objects where they were detected, elsewhere at random."""

from collections.abc import Iterable
from typing import Any

import numpy as np

MIN_SCORE = 0.25
MAX_RANDOM_ELEVATION = np.pi / 6


class Detections:
    """The rows of detections.parquet, sorted once by clip and time, so that a sample's directions are quickly found."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        by_name: dict[str, list[tuple[float, float, float]]] = {}
        for row in rows:
            if row["score"] >= MIN_SCORE:
                by_name.setdefault(row["name"], []).append((row["time"], row["azimuth"], row["elevation"]))
        self._clips = {name: _by_time(np.array(values)) for name, values in by_name.items()}

    def at(self, name: str, time: float) -> np.ndarray:
        """Directions [n, 2] of a clip's objects at the detection time nearest to `time` (seconds); n = 0: none."""
        if name not in self._clips:
            return np.empty((0, 2))
        times, starts, directions = self._clips[name]
        after = int(np.searchsorted(times, time))
        nearest = min((i for i in (after - 1, after) if 0 <= i < len(times)), key=lambda i: abs(times[i] - time))
        return directions[starts[nearest] : starts[nearest + 1]]


def _by_time(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(time, azimuth, elevation) [n, 3] -> the t distinct times [t], where each starts [t + 1], directions [n, 2]."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    times, starts = np.unique(rows[:, 0], return_index=True)
    return times, np.append(starts, len(rows)), rows[:, 1:]


def random_directions(rng: np.random.Generator, count: int = 4) -> np.ndarray:
    """One direction in each of `count` equal ranges of azimuth, [count, 2], from -pi on.

    Azimuth uniform in its range, elevation in ±pi/6.
    """
    azimuth = -np.pi + 2 * np.pi / count * (np.arange(count) + rng.random(count))
    return np.stack([azimuth, rng.uniform(-MAX_RANDOM_ELEVATION, MAX_RANDOM_ELEVATION, count)], axis=1)


def avc_direction(objects: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The direction [2] of one of the objects [n, 2], at random; where there are none, a random direction."""
    choices = objects if len(objects) else random_directions(rng)
    return choices[rng.integers(len(choices))]


def avsa_directions(objects: np.ndarray, rng: np.random.Generator, count: int = 4) -> np.ndarray:
    """One direction in each of `count` equal ranges of azimuth: of a random object [n, 2] there, else a random one."""
    directions = random_directions(rng, count)
    azimuth = np.where(objects[:, 0] < np.pi, objects[:, 0], objects[:, 0] - 2 * np.pi)
    borders = -np.pi + 2 * np.pi / count * np.arange(1, count)
    ranges = np.searchsorted(borders, azimuth, side="right")
    for number in range(count):
        there = np.flatnonzero(ranges == number)
        if len(there):
            directions[number] = objects[rng.choice(there)]
    return directions
