"""Choice of crop directions: detected objects if there are any, else random."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MIN_SCORE = 0.25  # of detections that are used
MAX_RANDOM_ELEVATION = np.pi / 6  # radians


class Detections:
    """Detected objects, sorted by clip and time for fast lookup; those with low scores are ignored."""

    def __init__(self, table: pa.Table) -> None:
        """Sorts the detections.

        Args:
            table: Columns of detections.parquet, of which name, time, azimuth, elevation and, if it is there, score
                are used.
        """
        if "score" in table.column_names:
            table = table.filter(pc.greater_equal(table["score"], MIN_SCORE))
        names = table["name"].combine_chunks().dictionary_encode()
        numbers = names.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        columns = [table[column].to_numpy().astype(np.float64)[order] for column in ("time", "azimuth", "elevation")]
        clips = names.dictionary.take(pa.array(numbers[order[starts]])).to_pylist()
        rows = np.split(np.stack(columns, axis=1), starts[1:])
        self._clips = {
            name: _by_time(values) for name, values in zip(clips, rows, strict=False)
        }  # no clips: one empty part

    def at(self, name: str, time: float) -> np.ndarray:
        """Looks up the objects of a clip at the detection time nearest to a given time.

        Args:
            name: Name of the clip.
            time: Seconds from the start of the file.

        Returns:
            Azimuth and elevation [n, 2], radians; n = 0 if the clip has no detections.
        """
        if name not in self._clips:
            return np.empty((0, 2))
        times, starts, directions = self._clips[name]
        after = int(np.searchsorted(times, time))
        nearest = min((i for i in (after - 1, after) if 0 <= i < len(times)), key=lambda i: abs(times[i] - time))
        return directions[starts[nearest] : starts[nearest + 1]]


def _by_time(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups rows (time, azimuth, elevation) [n, 3] by time.

    Returns the distinct times [t], the first row of each and the number of rows [t + 1], and the directions [n, 2].
    """
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    times, starts = np.unique(rows[:, 0], return_index=True)
    return times, np.append(starts, len(rows)), rows[:, 1:]


def random_directions(rng: np.random.Generator, count: int = 4) -> np.ndarray:
    """Draws one random direction in each of `count` equal azimuth ranges.

    Args:
        rng: Random generator.
        count: Number of ranges, which start at azimuth -pi.

    Returns:
        [count, 2]: azimuth, uniform in its range, and elevation, uniform in ±pi/6, radians.
    """
    azimuth = -np.pi + 2 * np.pi / count * (np.arange(count) + rng.random(count))
    return np.stack([azimuth, rng.uniform(-MAX_RANDOM_ELEVATION, MAX_RANDOM_ELEVATION, count)], axis=1)


def avc_direction(objects: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chooses the direction of a random object, or a random direction if there are no objects.

    Args:
        objects: [n, 2], azimuth and elevation, radians.
        rng: Random generator.

    Returns:
        [2], azimuth and elevation, radians.
    """
    choices = objects if len(objects) else random_directions(rng)
    return choices[rng.integers(len(choices))]


def avsa_directions(objects: np.ndarray, rng: np.random.Generator, count: int = 4) -> np.ndarray:
    """Chooses one direction in each of `count` equal azimuth ranges: a random object's, or a random direction.

    Args:
        objects: [n, 2], azimuth and elevation, radians.
        rng: Random generator.
        count: Number of ranges, which start at azimuth -pi.

    Returns:
        [count, 2], azimuth and elevation, radians.
    """
    directions = random_directions(rng, count)
    azimuth = np.where(objects[:, 0] < np.pi, objects[:, 0], objects[:, 0] - 2 * np.pi)
    borders = -np.pi + 2 * np.pi / count * np.arange(1, count)
    ranges = np.searchsorted(borders, azimuth, side="right")
    for number in range(count):
        inside = np.flatnonzero(ranges == number)
        if len(inside):
            directions[number] = objects[rng.choice(inside)]
    return directions
