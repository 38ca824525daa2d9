import numpy as np
import pytest

from avsa_fast.seld.decode import decode
from avsa_fast.seld.model import METRES, TRACKS


def vector(azimuth: float, elevation: float, length: float) -> list[float]:
    a, e = np.radians([azimuth, elevation])
    return [length * x for x in (np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e))]


def output(frames: int, *tracks: tuple[int, int, int, list[float], float]) -> np.ndarray:
    """Output of 2 classes with the given (frame, track, class, vector, metres)."""
    values = np.zeros((frames, TRACKS, 2, 4), np.float32)
    for frame, track, kind, direction, metres in tracks:
        values[frame, track, kind] = [*direction, metres / METRES]
    return values


def test_events() -> None:
    values = output(
        3,
        (0, 1, 1, vector(-170, 20, 0.9), 3.0),
        (2, 0, 0, vector(30, 0, 0.6), 1.0), (2, 2, 0, vector(50, 0, 0.8), 2.0), (2, 1, 0, vector(90, 0, 0.4), 5.0),
    )  # fmt: skip
    found = list(decode(values, 100, 0.5))
    assert [event[:3] for event in found] == [(100, 1, 0), (102, 0, 0), (102, 0, 1)]
    assert found[0][3:] == pytest.approx((-170, 20, 3.0), rel=1e-5)
    assert [event.azimuth for event in found[1:]] == pytest.approx([30, 50])
    assert [event.distance for event in found[1:]] == pytest.approx([1.0, 2.0])
    assert [event.azimuth for event in decode(values[2:], 0, 0.7)] == pytest.approx([50])


def test_tracks_of_one_event_are_joined() -> None:
    """0° and 20° are 20° apart, but each is within 15° of 10°; so all three are one event at their middle."""
    tracks = [
        (0, track, 0, vector(azimuth, 0, 1.0), metres)
        for track, (azimuth, metres) in enumerate(((0, 1.0), (20, 2.0), (10, 3.0)))
    ]
    (event,) = decode(output(1, *tracks), 0, 0.5)
    assert (event.azimuth, event.elevation, event.distance) == pytest.approx((10, 0, 2.0), abs=1e-4)
    two = [(0, track, 0, vector(azimuth, 0, 1.0), 1.0) for track, azimuth in enumerate((0, 14, 40))]
    assert [event.azimuth for event in decode(output(1, *two), 0, 0.5)] == pytest.approx([7, 40], abs=1e-4)
