"""Counts of matched, missed and additional sound events in a recording, from which the metrics are computed.

Frames as in task 3 of DCASE 2024, and segments of one second as in DCASE 2023. Several events of a class at once are
matched by the Hungarian method on their angles.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from avsa_fast.data.sound_events import SoundEvent

SEGMENT = 10  # frames of a segment
# For each class: events of the reference; matched ones near enough and too far; predicted events too many and too few;
# matched events; sums of the matched events' angles (degrees), distance errors (m) and relative distance errors.
QUANTITIES = ("references", "near", "far", "extra", "missed", "matched", "angle", "distance", "relative")
CENTIMETRES = 100.0
EPSILON = float(np.finfo(float).eps)

Floats = NDArray[np.float64]
Frames = dict[int, dict[int, list[SoundEvent]]]  # events by frame and class


@dataclass(frozen=True)
class Tally:
    """Counts over a recording, or with leading dimensions over several.

    Attributes:
        counts: [..., len(QUANTITIES), n_classes].
        errors: Substitutions, deletions and insertions [...].
    """

    counts: Floats
    errors: Floats

    def __getitem__(self, quantity: str) -> Floats:
        """One of QUANTITIES [..., n_classes]."""
        values: Floats = self.counts[..., QUANTITIES.index(quantity), :]
        return values


@dataclass(frozen=True)
class Rules:
    """How events are counted.

    Attributes:
        n_classes: Number of classes.
        threshold: Greatest angle of a match that is near enough, in degrees.
        distance_threshold: Its greatest relative distance error; only for frames.
    """

    n_classes: int
    threshold: float
    distance_threshold: float


def count_frames(reference: Sequence[SoundEvent], prediction: Sequence[SoundEvent], rules: Rules) -> Tally:
    """Counts the events of each frame, as DCASE 2024 does.

    Args:
        reference: Annotated events of a recording, with distances in centimetres.
        prediction: Predicted events, likewise.
        rules: How events are counted.

    Returns:
        The counts.
    """
    counter = _Counter(rules.n_classes)
    true, found = _by_frame(reference), _by_frame(prediction)
    for frame in sorted(true.keys() | found.keys()):
        here, there = true.get(frame, {}), found.get(frame, {})
        for kind in sorted(here.keys() | there.keys()):
            events, guesses = here.get(kind, []), there.get(kind, [])
            counter.compare(kind, len(events), len(guesses))
            for event, guess, angle in _matches(events, guesses):
                assert event.distance is not None
                assert guess.distance is not None
                distance, error = event.distance / CENTIMETRES, abs(event.distance - guess.distance) / CENTIMETRES
                relative = error / (distance + EPSILON)
                near = angle <= rules.threshold and relative <= rules.distance_threshold
                counter.match(kind, near, angle, error, relative)
        counter.end()
    return counter.tally()


def count_segments(reference: Sequence[SoundEvent], prediction: Sequence[SoundEvent], rules: Rules) -> Tally:
    """Counts the events of each segment of one second, as DCASE 2023 does.

    The events of a class in a segment are as many as at once in any of its frames. The angle of each is the mean over
    the frames in which it is matched. Classes that are in a segment's reference and prediction, but never in the same
    frame, count as missed as often as they are predicted, as in the official evaluation.

    Args:
        reference: Annotated events of a recording.
        prediction: Predicted events.
        rules: How events are counted.

    Returns:
        The counts; distances are not counted.
    """
    counter = _Counter(rules.n_classes)
    true, found = _by_segment(reference), _by_segment(prediction)
    for segment in sorted(true.keys() | found.keys()):
        here, there = true.get(segment, {}), found.get(segment, {})
        for kind in sorted(here.keys() | there.keys()):
            events, guesses = here.get(kind, {}), there.get(kind, {})
            angles: dict[int, list[float]] = defaultdict(list)  # by the event's place in its frame
            for frame in sorted(events.keys() & guesses.keys()):
                for event, _, angle in _matches(events[frame], guesses[frame]):
                    angles[events[frame].index(event)].append(angle)
            count, guessed = (max(map(len, frames.values()), default=0) for frames in (events, guesses))
            if count and guessed and not angles:
                counter.compare(kind, count, count)
                counter.miss(kind, guessed)
                continue
            counter.compare(kind, count, guessed)
            for values in angles.values():
                mean = sum(values) / len(values)
                counter.match(kind, mean <= rules.threshold, mean)
        counter.end()
    return counter.tally()


class _Counter:
    """Sums of the quantities, and of the errors of each frame or segment."""

    def __init__(self, n_classes: int) -> None:
        self._sums = {name: [0.0] * n_classes for name in QUANTITIES}
        self._wrong = self._missing = self._errors = 0  # additional and missing events of this frame

    def compare(self, kind: int, events: int, guesses: int) -> None:
        """Counts the events of a class, and how many are predicted too many or too few."""
        self._sums["references"][kind] += events
        self._sums["extra"][kind] += (extra := max(guesses - events, 0))
        self._wrong += extra
        self.miss(kind, max(events - guesses, 0))

    def miss(self, kind: int, count: int) -> None:
        """Counts events that are missed."""
        self._sums["missed"][kind] += count
        self._missing += count

    def match(self, kind: int, near: bool, angle: float, distance: float = 0.0, relative: float = 0.0) -> None:
        """Counts a matched event with its errors."""
        for name, value in (("matched", 1), ("angle", angle), ("distance", distance), ("relative", relative)):
            self._sums[name][kind] += value
        self._sums["near" if near else "far"][kind] += 1
        self._wrong += not near

    def end(self) -> None:
        """Ends a frame or segment: a missing event beside an additional one is one error, a substitution."""
        self._errors += max(self._wrong, self._missing)
        self._wrong = self._missing = 0

    def tally(self) -> Tally:
        """The sums."""
        return Tally(np.array(list(self._sums.values()), np.float64), np.array(self._errors, np.float64))


def _by_frame(events: Sequence[SoundEvent]) -> Frames:
    """Events by frame and class."""
    frames: Frames = {}
    for event in events:
        frames.setdefault(event.frame, {}).setdefault(event.kind, []).append(event)
    return frames


def _by_segment(events: Sequence[SoundEvent]) -> dict[int, Frames]:
    """Events by segment, class and frame."""
    segments: dict[int, Frames] = {}
    for event in events:
        frames = segments.setdefault(event.frame // SEGMENT, {}).setdefault(event.kind, {})
        frames.setdefault(event.frame, []).append(event)
    return segments


def _matches(events: Sequence[SoundEvent], guesses: Sequence[SoundEvent]) -> list[tuple[SoundEvent, SoundEvent, float]]:
    """Pairs of events and predictions whose angles have the least sum, and these angles."""
    if not events or not guesses:
        return []
    angles = _angles(_units(events)[:, None], _units(guesses)[None])
    return [(events[i], guesses[j], float(angles[i, j])) for i, j in zip(*linear_sum_assignment(angles), strict=True)]


def _units(events: Sequence[SoundEvent]) -> Floats:
    """Unit vectors [n, 3]."""
    azimuth, elevation = np.radians([(event.azimuth, event.elevation) for event in events]).T
    level = np.cos(elevation)
    return np.stack([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)], axis=-1)


def _angles(a: Floats, b: Floats) -> Floats:
    """Angles in degrees between vectors [..., 3], normalised as in the official evaluation: none is below 8.1e-4°."""
    a, b = (x / np.sqrt((x**2).sum(axis=-1, keepdims=True) + 1e-10) for x in (a, b))
    angles: Floats = np.degrees(np.arccos(np.clip((a * b).sum(axis=-1), -1, 1)))
    return angles
