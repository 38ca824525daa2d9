"""The objects of a video at the moments of its maps: from a table of detections, or detected."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch

from avsa_fast.choices import DEFAULT_WEIGHTS
from avsa_fast.data.directions import MIN_SCORE
from avsa_fast.data.one_clip import detections_of
from avsa_fast.data.projection import Projection
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.tables import DETECTIONS, read_columns
from avsa_fast.detect.boxes import SphereBox
from avsa_fast.detect.sphere import SphereDetector
from avsa_fast.errors import UserError
from avsa_fast.prepare import PrepareOptions

MAX_OBJECTS = 8  # at a moment, those with the highest scores
BATCH = 4  # frames per call of a detector
SIZE = np.radians(15.0)  # of objects whose size a table leaves open

# Finds the objects at moments, of which the first is at a time and the others follow at a rate.
Finder = Callable[[float, int, float], Iterator[list[SphereBox]]]


@dataclass(frozen=True)
class ObjectOptions:
    """Where objects come from.

    Attributes:
        detections: A detections.parquet; None: that of the video's dataset folder, if there is one.
        detector: As for `prepare`, used if there are no detections; None: no objects.
        trust_weights: Whether to load weights of unknown checksum.
    """

    detections: Path | None = None
    detector: str | None = DEFAULT_WEIGHTS
    trust_weights: bool = False

    def table(self, video: Path) -> Path | None:
        """Returns the table to read, if there is one.

        Args:
            video: Video file.
        """
        return self.detections or detections_of(video)


def object_finder(options: ObjectOptions, reader: MediaReader) -> Finder:
    """Opens the source of a video's objects.

    Args:
        options: Where objects come from.
        reader: Reader of the video.

    Returns:
        A function of the time of the first moment, in seconds, the number of moments and their rate in Hz, which
        yields the objects at each moment, at most MAX_OBJECTS, those with the highest scores first.

    Raises:
        UserError: The table is damaged or one of other videos, or the detector is not available.
    """
    video = reader.video.path
    table = options.table(video)
    if table is not None:
        return partial(_from_table, *_read(table, video.stem, named=options.detections is not None))
    detector = PrepareOptions(detector=options.detector, trust_weights=options.trust_weights).make_detector()
    return partial(_detected, detector, reader) if detector else lambda _begin, count, _rate: iter([[]] * count)


def _read(path: Path, name: str, *, named: bool) -> tuple[np.ndarray, list[list[SphereBox]]]:
    """Times of a video's detections, and the objects at each; none if the table of a dataset has none of it."""
    table = read_columns(path, DETECTIONS)
    names = table["name"].unique().to_pylist()
    if not named or name in names:
        table = table.filter(pc.equal(table["name"], name))
    elif len(names) > 1:  # a table of one video alone may have another name for it
        raise UserError(f"--detections {path}: no detections of {name}, but of {names[0]} and others")
    table = table.filter(pc.greater_equal(table["score"], MIN_SCORE)).sort_by("time")
    moments: dict[float, list[SphereBox]] = {}
    for row in table.to_pylist():
        width, height = (SIZE if row[side] is None else row[side] for side in ("width", "height"))
        box = SphereBox(row["azimuth"], row["elevation"], width, height, row["class"], row["score"])
        moments.setdefault(row["time"], []).append(box)
    return np.array(list(moments)), [_best(boxes) for boxes in moments.values()]


def _from_table(
    times: np.ndarray, moments: Sequence[list[SphereBox]], begin: float, count: int, rate: float
) -> Iterator[list[SphereBox]]:
    """Yields the objects detected at the time nearest to each moment."""
    for number in range(count):
        yield moments[int(np.abs(times - (begin + number / rate)).argmin())] if len(times) else []


def _detected(
    detector: SphereDetector, reader: MediaReader, begin: float, count: int, rate: float
) -> Iterator[list[SphereBox]]:
    """Yields the objects that a detector finds in the frame at each moment."""
    projection: Projection = "eac" if reader.description.projection == "eac" else "erp"  # of one eye
    frames = (image for _, image in reader.sampled(rate, detector.max_size, begin, count / rate))
    while batch := list(islice(frames, BATCH)):
        yield from map(_best, detector.detect(torch.stack(batch), projection))


def _best(boxes: Sequence[SphereBox]) -> list[SphereBox]:
    return sorted(boxes, key=lambda box: -box.score)[:MAX_OBJECTS]
