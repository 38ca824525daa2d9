"""index.parquet and detections.parquet of a dataset folder, made where they are missing."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from avsa_fast.data.channels import channel_map, check_channels, is_fuma, to_ambisonic
from avsa_fast.data.clips import Clip, find_clips, read_index
from avsa_fast.data.sound import probe_sound, read_overview
from avsa_fast.data.tables import DETECTIONS, INDEX, write_table
from avsa_fast.data.validity import spatial_validity
from avsa_fast.data.video import probe_video, sample_frames
from avsa_fast.detect.yolo import Detector, YoloDetector
from avsa_fast.errors import UserError
from avsa_fast.progress import show_progress

# Higher frames hold little more for the detector, whose input is at most 1280 pixels wide.
DETECTION_HEIGHT = 640
# Frames of a video in memory at a time.
BATCH = 16


def prepare_folder(
    data: Path,
    *,
    detector: Callable[[], Detector] | None = YoloDetector,
    detect_fps: float = 2.0,
    channels: Sequence[int] | None = None,
    progress: bool = True,
) -> None:
    """Makes a dataset folder's index.parquet and detections.parquet where they are missing; existing ones stay.

    `detector` makes the detector, when detections are missing; None leaves them missing. `detect_fps` frames a second
    are searched for objects. `channels` says which channels of every sound are W, Y, Z and X. A clip that cannot be
    read is reported and counted. Raises UserError where the folder holds not a single usable clip.
    """
    if not detect_fps > 0:
        raise UserError(f"{detect_fps} frames a second cannot be searched for objects; 2 can")
    if not (data / "index.parquet").exists():
        rows = [_describe(clip, channels) for clip in _progress(find_clips(data), "reading clips", progress)]
        _report(data, {row["name"]: row["state"] for row in rows if row["state"] != "ok"}, len(rows))
        write_table(data / "index.parquet", rows, INDEX)
    elif channels is not None and any(row["channel_map"] != list(channels) for _, row in read_index(data)):
        raise UserError(f"{data / 'index.parquet'} was made with other channels; remove it to have it made anew")

    if detector is not None and not (data / "detections.parquet").exists():
        clips = [clip for clip, _ in read_index(data)]
        objects, failures = [], {}
        eyes = detector()
        for clip in _progress(clips, "detecting objects", progress):
            try:
                objects += _detect(clip, eyes, detect_fps)
            except UserError as error:
                failures[clip.name] = str(error)
        _report(data, failures, len(clips))
        write_table(data / "detections.parquet", objects, DETECTIONS)


def _describe(clip: Clip, channels: Sequence[int] | None) -> dict[str, Any]:
    """A clip's row of the index."""
    row = dict.fromkeys(INDEX.names) | {"name": clip.name, "split": clip.split, "state": "ok"}
    try:
        if clip.video is None or clip.sound is None:
            raise UserError(f"no {'video' if clip.video is None else 'sound'} of this name in the folder")
        video, sound = probe_video(clip.video), probe_sound(clip.sound)
        overview = read_overview(clip.sound)
        mapping = check_channels(clip.sound, sound, channels) if channels else channel_map(clip.sound, sound, overview)
        scene = to_ambisonic(overview, mapping, fuma=is_fuma(clip.sound))
        row |= {
            "seconds": min(video.seconds, sound.seconds),
            "fps": video.fps,
            "width": video.width,
            "height": video.height,
            "rate": sound.rate,
            "channels": sound.channels,
            "channel_map": mapping,
            "spatial_validity": spatial_validity(scene, sound.rate) if mapping else None,
        }
    except UserError as error:
        row["state"] = " ".join(str(error).split())
    return row


def _detect(clip: Clip, detector: Detector, fps: float) -> list[dict[str, Any]]:
    """A clip's rows of the detections."""
    assert clip.video is not None
    rows = []
    frames = sample_frames(clip.video, fps, DETECTION_HEIGHT)
    while batch := list(islice(frames, BATCH)):
        found = detector.detect(torch.stack([frame for _, frame in batch]))
        for (time, _), boxes in zip(batch, found, strict=True):
            for box in boxes:
                angles = {"azimuth": box.azimuth, "elevation": box.elevation, "width": box.width, "height": box.height}
                rows.append({"name": clip.name, "time": time, "class": box.label, "score": box.score} | angles)
    return rows


def _report(data: Path, failures: dict[str, str], total: int) -> None:
    """A line a failed clip and their count. Raises UserError where all failed."""
    for name, reason in failures.items():
        print(f"skipped {name}: {reason}", file=sys.stderr)
    if len(failures) == total:
        raise UserError(f"{data}: none of its {total} clips is usable; the first: {next(iter(failures.values()))}")
    if failures:
        print(f"{len(failures)} of {total} clips skipped", file=sys.stderr)


def _progress(clips: Sequence[Clip], label: str, show: bool) -> Iterator[Clip]:
    """The clips, and how far they have come."""
    with show_progress(label) if show else nullcontext(_silent) as progress:
        for done, clip in enumerate(clips):
            yield clip
            progress(done + 1, len(clips))


def _silent(done: int, total: int) -> None:
    pass
