"""The preparation of one clip: what it is, and what is seen in it. A function of the clip's files and the options."""

from collections.abc import Callable, Iterator
from itertools import islice
from math import degrees
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import torch

from avsa_fast.data.channels import channel_map, check_channels, to_ambisonic
from avsa_fast.data.projection import Source, check_size, decide_source
from avsa_fast.data.sound import SoundInfo, probe_sound, read_overview
from avsa_fast.data.spherical import Picture, read_spherical
from avsa_fast.data.tables import DETECTIONS, INDEX
from avsa_fast.data.validity import arrivals, silent_channels, spatial_validity
from avsa_fast.data.video import VideoInfo, probe_video, read_key_frames, sample_frames
from avsa_fast.detect.boxes import Box
from avsa_fast.detect.sphere import SphereDetector
from avsa_fast.detect.tracks import link
from avsa_fast.errors import ClipError, UserError

from .find import Job
from .options import Options
from .transcode import transcode

BATCH = 4  # frames of a video in memory at a time, and as many decoded ahead
LOOKS = 3  # key frames that tell a picture's projection
LOOK_HEIGHT = 512
# Picture and sound whose lengths, or starts, differ by more do not belong together: seconds, and share of the longer.
MISMATCH, MISMATCH_SHARE = 2.0, 0.1
POSE = 0.5  # degrees that a picture may be turned by and still has the axes of its sound

T = TypeVar("T")


class Result(NamedTuple):
    """A clip's row of the index, but for its split, and its detections, by column."""

    row: dict[str, Any]
    detections: dict[str, list[Any]]


def prepare_clip(
    job: Job,
    options: Options,
    detector: SphereDetector | None,
    target: Path,
    alive: Callable[[], None] = lambda: None,
) -> Result:
    """Describes a clip, finds the objects in it and, if the options say so, transcodes it into the folder `target`.

    What is wrong with the clip's files is told by the row's state and reason. `alive` is called every so often.
    Raises OSError where `target` cannot be written.
    """
    try:
        row = _describe(job, options)
        detections = _detect(job, row, detector, options.detect_fps, alive) if detector else _columns([], [])
        if options.transcode:
            row |= transcode(job, row, options, target, alive)
        return Result(row, detections)
    except UserError as error:
        return failed(job, getattr(error, "state", "unreadable"), str(error))


def failed(job: Job, state: str, reason: str) -> Result:
    """The result of a clip that cannot be used."""
    row = dict.fromkeys(INDEX.names) | {"name": job.name, "state": state, "reason": " ".join(reason.split())}
    return Result(row, _columns([], []))


def _describe(job: Job, options: Options) -> dict[str, Any]:
    if job.video is None or job.sound is None:
        missing = "video" if job.video is None else "sound"
        raise ClipError("incomplete", f"no {missing} of this name in the folder")
    try:
        metadata = read_spherical(job.video)
    except OSError as error:
        raise UserError(f"{job.video}: cannot be read: {error.strerror}") from error
    video, sound = probe_video(job.video), probe_sound(job.sound)
    _check_match(job, video, sound)
    source = options.projection or _source(job.video, metadata.picture)
    try:
        check_size(source, video.width, video.height)
    except ClipError as error:
        raise ClipError(error.state, f"{job.video}: {error}") from error
    overview = read_overview(job.sound)
    gains = options.gains_of(job.sound)
    if options.channels is not None and sound.channels > 2:
        mapping = check_channels(job.sound, sound, options.channels)
    else:
        stated = metadata.sound if job.sound == job.video else None
        mapping = channel_map(job.sound, sound, overview, stated, fuma=gains == "fuma")
    if mapping and not options.ignore_pose:
        _check_pose(job.video, metadata.picture)
    scene = to_ambisonic(overview, mapping, fuma=gains == "fuma", n3d=gains == "n3d")
    posed = metadata.picture.projection is not None
    return dict.fromkeys(INDEX.names) | {
        "name": job.name,
        "seconds": _seconds(job, min(video.seconds, sound.seconds)),
        "offset": sound.start - video.start,
        "fps": video.fps,
        "width": video.width,
        "height": video.height,
        "projection": source,
        "yaw": metadata.picture.yaw if posed else None,
        "pitch": metadata.picture.pitch if posed else None,
        "roll": metadata.picture.roll if posed else None,
        "rate": sound.rate,
        "channels": sound.channels,
        "channel_map": mapping,
        "silent_channels": silent_channels(overview),
        "state": "ok",
        **(_directed(scene, sound.rate) if mapping else {}),
    }


def _directed(scene: torch.Tensor, rate: int) -> dict[str, float | None]:
    """The columns that only sound with direction has."""
    found = {f"arrival_{name}": value for name, value in arrivals(scene, rate)._asdict().items()}
    return found | {"spatial_validity": spatial_validity(scene, rate)}


def _seconds(job: Job, whole: float) -> float:
    if job.seconds is None:
        return whole
    seconds = min(job.seconds, whole - job.begin)
    if seconds < job.seconds / 2:
        raise ClipError("refused", f"{job.video}: {whole:.2f} s long, too short for a segment from {job.begin:g} s on")
    return seconds


def _check_pose(video: Path, picture: Picture) -> None:
    pose = [degrees(angle) for angle in (picture.yaw, picture.pitch, picture.roll)]
    if max(map(abs, pose)) > POSE:
        raise ClipError(
            "ambiguous",
            f"{video}: states a pose (yaw {pose[0]:g}°, pitch {pose[1]:g}°, roll {pose[2]:g}°), and whether its sound "
            "is turned with its picture no standard says; --ignore-pose takes the two to have the same axes",
        )


def _check_match(job: Job, video: VideoInfo, sound: SoundInfo) -> None:
    most = max(MISMATCH, MISMATCH_SHARE * max(video.seconds, sound.seconds))
    if abs(video.seconds - sound.seconds) > most:
        raise ClipError(
            "refused",
            f"{job.video}: {video.seconds:.2f} s of picture and {sound.seconds:.2f} s of sound do not belong together",
        )
    if job.sound == job.video and abs(sound.start - video.start) > MISMATCH:
        raise ClipError("refused", f"{job.video}: sound starts {sound.start - video.start:.2f} s after the picture")


def _source(video: Path, picture: Picture) -> Source:
    try:
        settled = picture.projection == "equirectangular" and picture.stereo
        frames = torch.zeros(1, 2, 4, 3, dtype=torch.uint8) if settled else read_key_frames(video, LOOKS, LOOK_HEIGHT)
        return decide_source(picture, frames)
    except ClipError as error:
        raise ClipError(error.state, f"{video}: {error}") from error


def _detect(
    job: Job, row: dict[str, Any], detector: SphereDetector, fps: float, alive: Callable[[], None]
) -> dict[str, list[Any]]:
    assert job.video is not None
    layout: Source = "eac" if row["projection"] == "eac" else "erp"
    times: list[float] = []
    moments: list[list[Box]] = []
    frames = ahead(sample_frames(job.video, fps, detector.most, job.begin, row["seconds"], row["projection"]), BATCH)
    shown: torch.Tensor | None = None
    while batch := list(islice(frames, BATCH)):
        images = [image for _, image in batch]
        new = [image for before, image in zip([shown, *images], images, strict=False) if image is not before]
        found = iter(detector.detect(torch.stack(new), layout) if new else [])
        for time, image in batch:
            moments.append(moments[-1] if image is shown else next(found))  # a frame that stays is searched once
            times.append(time)
            shown = image
        alive()
    return _columns(times, moments)


def _columns(times: list[float], moments: list[list[Box]]) -> dict[str, list[Any]]:
    rows = [
        (time, box.azimuth, box.elevation, box.width, box.height, box.label, box.score, track)
        for time, boxes, tracks in zip(times, moments, link(moments), strict=True)
        for box, track in zip(boxes, tracks, strict=True)
    ]
    names = [name for name in DETECTIONS.names if name != "name"]
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """The items, made in a thread of their own, up to `count` ahead of their use."""
    queue: Queue[tuple[bool, Any]] = Queue(count)

    def make() -> None:
        try:
            for item in items:
                queue.put((True, item))
            queue.put((False, None))
        except BaseException as error:
            queue.put((False, error))

    Thread(target=make, daemon=True).start()
    while True:
        is_item, value = queue.get()
        if is_item:
            yield value
        elif value is None:
            return
        else:
            raise value
