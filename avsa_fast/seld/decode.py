"""Sound events from a detector's output."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from avsa_fast.data.sound_events import SoundEvent

from .model import METRES

SAME = np.cos(np.radians(15))  # cosine from which tracks of a class are one event


def decode(output: NDArray[np.float32], first: int, threshold: float) -> Iterator[SoundEvent]:
    """Finds the events of consecutive frames.

    Args:
        output: [frames, TRACKS, classes, 4], of one excerpt.
        first: Number of the first frame.
        threshold: Length of a vector, 0 to 1, above which its track is active.

    Yields:
        Events by frame and class; distances in metres. Tracks within 15° of each other are one event.
    """
    lengths = np.linalg.norm(output[..., :3], axis=-1)  # [frames, TRACKS, classes]
    for frame, kind in np.argwhere((lengths > threshold).any(axis=1)):
        tracks = output[frame, lengths[frame, :, kind] > threshold, kind]
        for source, event in enumerate(_distinct(tracks)):
            x, y, z, distance = event.tolist()
            yield SoundEvent(
                first + int(frame), int(kind), source, float(np.degrees(np.arctan2(y, x))),
                float(np.degrees(np.arctan2(z, np.hypot(x, y)))), METRES * distance,
            )  # fmt: skip


def _distinct(tracks: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Means [4] of the tracks [n, 4] that are near each other, directly or by others between them."""
    units = tracks[:, :3] / np.linalg.norm(tracks[:, :3], axis=1, keepdims=True)
    group = list(range(len(tracks)))
    for i, j in np.argwhere(np.triu(units @ units.T > SAME, 1)).tolist():
        group = [group[i] if number == group[j] else number for number in group]
    return [tracks[np.array(group) == number].mean(axis=0) for number in dict.fromkeys(group)]
