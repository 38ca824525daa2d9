"""Preparation of one clip: its row of the index and its detections, which depend only on its files and the options."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import torch

from avsa_fast.data.describe import inspect
from avsa_fast.data.picture import PictureMeter
from avsa_fast.data.projection import Projection
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.rows import inspected_row
from avsa_fast.data.tables import DETECTIONS, INDEX
from avsa_fast.detect.boxes import SphereBox
from avsa_fast.detect.sphere import SphereDetector
from avsa_fast.detect.tracks import link
from avsa_fast.errors import ClipError, UserError
from avsa_fast.writing import WriteError

from .find import Job
from .options import PrepareOptions
from .requirements import require_trainable
from .transcode import transcode

BATCH_SIZE = 4  # frames per detector call, and also the number of frames decoded ahead

T = TypeVar("T")


class Result(NamedTuple):
    """Result of preparing a clip.

    Attributes:
        row: The clip's row of the index, without its split.
        detections: Its detections, by column.
    """

    row: dict[str, Any]
    detections: dict[str, list[Any]]


def prepare_clip(
    job: Job,
    options: PrepareOptions,
    detector: SphereDetector | None,
    target: Path,
    heartbeat: Callable[[], None] = lambda: None,
) -> Result:
    """Describes a clip, detects the objects in it and, if requested, transcodes it.

    Errors in the clip's files are reported by the row's `state` and `reason`.

    Args:
        job: Clip to prepare.
        options: How to prepare it.
        detector: Detector of objects; None skips detection.
        target: Dataset folder that transcoded files are written to.
        heartbeat: Called regularly.

    Returns:
        The clip's row of the index and its detections.

    Raises:
        WriteError: `target` cannot be written.
    """
    try:
        row, reader = _describe(job, options)
        detections, picture = _columns([], []), PictureMeter()
        if detector:
            detections = _detect(job, reader, row["seconds"], detector, options.detect_fps, picture, heartbeat)
        row |= picture.columns()
        if options.transcode:
            row |= transcode(job, row, reader, options.height, target, heartbeat)
        return Result(row, detections)
    except WriteError:  # no fault of the clip
        raise
    except UserError as error:
        return failed(job, getattr(error, "state", "unreadable"), str(error))


def failed(job: Job, state: str, reason: str) -> Result:
    """Returns the result of an unusable clip, without detections.

    Args:
        job: The clip.
        state: A key of `data.table_rules.STATES` other than "ok".
        reason: Why it cannot be used.
    """
    row = dict.fromkeys(INDEX.names) | {"name": job.name, "state": state, "reason": " ".join(reason.split())}
    return Result(row, _columns([], []))


def _describe(job: Job, options: PrepareOptions) -> tuple[dict[str, Any], MediaReader]:
    """Row of the clip, and the reader of its files."""
    if job.video is None or job.sound is None:
        missing = "video" if job.video is None else "sound"
        raise ClipError("incomplete", f"no {missing} of this name in the folder")
    inspection = inspect(job.video, job.sound, options.overrides)
    require_trainable(inspection.description, job.video, job.sound, ignore_pose=options.ignore_pose)
    row = inspected_row(job.name, inspection)
    times = [time - job.begin for time in row["moment_times"] or ()]
    row |= {"seconds": _seconds(job, row["seconds"]), "moment_times": times}
    return row, MediaReader(inspection.description)


def _seconds(job: Job, whole: float) -> float:
    """Duration of the clip: of its segment, or else of the whole recording."""
    if job.seconds is None:
        return whole
    seconds = min(job.seconds, whole - job.begin)
    if seconds < job.seconds / 2:
        raise ClipError(
            "refused", f"{job.video}: {whole:.2f} s long, too short for a segment that starts at {job.begin:g} s"
        )
    return seconds


def _detect(
    job: Job,
    reader: MediaReader,
    seconds: float,
    detector: SphereDetector,
    fps: float,
    picture: PictureMeter,
    heartbeat: Callable[[], None],
) -> dict[str, list[Any]]:
    projection: Projection = "eac" if reader.description.projection == "eac" else "erp"  # of one eye
    times: list[float] = []
    moments: list[list[SphereBox]] = []
    frames = prefetch(reader.sampled(fps, detector.max_size, job.begin, seconds), BATCH_SIZE)
    previous: torch.Tensor | None = None
    while batch := list(islice(frames, BATCH_SIZE)):
        images = [image for _, image in batch]
        new = [image for before, image in zip([previous, *images], images, strict=False) if image is not before]
        found = iter(detector.detect(torch.stack(new), projection) if new else [])
        for time, image in batch:
            picture.add(image)
            moments.append(moments[-1] if image is previous else next(found))  # repeated frames are searched once
            times.append(time)
            previous = image
        heartbeat()
    return _columns(times, moments)


def _columns(times: list[float], moments: list[list[SphereBox]]) -> dict[str, list[Any]]:
    rows = [
        (time, box.azimuth, box.elevation, box.width, box.height, box.label, box.score, track)
        for time, boxes, tracks in zip(times, moments, link(moments), strict=True)
        for box, track in zip(boxes, tracks, strict=True)
    ]
    names = [name for name in DETECTIONS.names if name != "name"]
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def prefetch(items: Iterator[T], count: int) -> Iterator[T]:
    """Runs an iterator in a thread of its own, up to `count` items ahead of their use.

    Args:
        items: Iterator to run; its exceptions are raised here.
        count: Maximum number of items waiting.

    Yields:
        The items, in order.
    """
    queue: Queue[tuple[bool, Any]] = Queue(count)

    def run() -> None:
        try:
            for item in items:
                queue.put((True, item))
            queue.put((False, None))
        except BaseException as error:
            queue.put((False, error))

    Thread(target=run, daemon=True).start()
    while True:
        is_item, value = queue.get()
        if is_item:
            yield value
        elif value is None:
            return
        else:
            raise value
