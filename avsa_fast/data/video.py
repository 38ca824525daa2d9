"""Frames of a video file around a moment, by seeking."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from av.video.reformatter import VideoReformatter

from avsa_fast.data.container import decode_from, open_stream, seconds_of, start_of
from avsa_fast.errors import UserError

MAX_WIDTH, MAX_HEIGHT = 16384, 8192
MAX_SECONDS = 24 * 3600
# A file that ends this much sooner than it says, in seconds, is truncated.
TOLERANCE = 0.5


@dataclass(frozen=True)
class VideoInfo:
    seconds: float
    fps: float  # mean
    width: int
    height: int


def probe_video(path: Path, *, flat: bool = False) -> VideoInfo:
    """What a video file says of itself; its first frame is decoded.

    flat: an ordinary video, not an equirectangular one. Raises UserError naming the file where it cannot serve as such.
    """
    with open_stream(path, "video") as (container, stream):
        info = _info(path, container, stream)
        if info.width % 2 and not flat:
            raise UserError(
                f"{path}: an equirectangular video needs an even width, and this one is {info.width} pixels wide"
            )
        if next(decode_from(container, stream, 0.0), None) is None:
            raise UserError(f"{path}: a video with no frames")
    return info


def read_frames(
    path: Path, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> torch.Tensor:
    """Frames around a moment, whatever the file's own frame rate, constant or variable.

    Frame i is the one showing at `centre + (i - (count - 1) / 2) / fps` seconds from the file's start; before the
    first frame it is the first, after the last frame the last. Decodes from the key frame before the first one wanted.

    `max_height` scales higher videos down to that many rows, keeping the aspect, to an even width.
    Colours are converted by the matrix and range that the file names.

    Returns uint8 [count, H, W, 3], RGB. Raises UserError naming the file where it is unreadable or truncated there.
    """
    wanted = [centre + (i - (count - 1) / 2) / fps for i in range(count)]
    with open_stream(path, "video") as (container, stream):
        frames = [image for _, image in _images(path, container, stream, wanted, max_height)]
    return torch.stack(frames)


def sample_frames(path: Path, fps: float, max_height: int | None = None) -> Iterator[tuple[float, torch.Tensor]]:
    """The frames showing at 0, 1/fps, 2/fps … seconds to the file's end, decoded in one pass.

    Yields (seconds from the file's start, uint8 [H, W, 3] RGB). Scales and raises as `read_frames` does.
    """
    with open_stream(path, "video") as (container, stream):
        seconds = _info(path, container, stream).seconds
        count = max(1, int(seconds * fps))
        yield from _images(path, container, stream, [i / fps for i in range(count)], max_height)


def read_windows(
    path: Path, centres: Sequence[float], count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> Iterator[torch.Tensor]:
    """`read_frames` around each of some moments, decoded in one pass: uint8 [count, H, W, 3] at a time.

    The moments rise by at least count / fps seconds from one to the next. Raises as `read_frames` does.
    """
    wanted = [centre + (i - (count - 1) / 2) / fps for centre in centres for i in range(count)]
    with open_stream(path, "video") as (container, stream):
        frames = (image for _, image in _images(path, container, stream, wanted, max_height))
        while window := list(islice(frames, count)):
            yield torch.stack(window)


def _info(path: Path, container: Any, stream: Any) -> VideoInfo:
    width, height = stream.codec_context.width, stream.codec_context.height
    seconds, rate = seconds_of(container, stream), stream.average_rate or stream.guessed_rate
    if not (0 < width <= MAX_WIDTH and 0 < height <= MAX_HEIGHT):
        raise UserError(f"{path}: {width}×{height} pixels; videos up to {MAX_WIDTH}×{MAX_HEIGHT} are read")
    if seconds <= 0 or not rate:
        raise UserError(f"{path}: a video with no frames")
    if seconds > MAX_SECONDS:
        raise UserError(
            f"{path}: {seconds / 3600:.0f} hours long; videos up to {MAX_SECONDS / 3600:.0f} hours are read"
        )
    return VideoInfo(seconds, float(rate), width, height)


def _images(
    path: Path, container: Any, stream: Any, wanted: list[float], max_height: int | None
) -> Iterator[tuple[float, torch.Tensor]]:
    info = _info(path, container, stream)
    stream.codec_context.options = {"max_pixels": str(MAX_WIDTH * MAX_HEIGHT)}
    width, height = info.width, info.height
    if max_height is not None and max_height < height:
        width, height = max(2, 2 * round(width * max_height / height / 2)), max_height

    start = start_of(container)
    frames = decode_from(container, stream, start + wanted[0])
    # Stamps are rounded to the time base, so half a tick before a frame's stamp is its time already.
    tick = float(stream.time_base)
    converter = VideoReformatter()
    shown, image = None, torch.empty(0)
    for time, (frame, is_last) in zip(wanted, _showing(frames, [start + t + tick / 2 for t in wanted]), strict=False):
        if is_last and min(time, info.seconds) > frame.time + frame.duration * tick - start + TOLERANCE:
            raise UserError(f"{path}: no frame can be decoded after {frame.time - start:.2f} s; is the file truncated?")
        if frame is not shown:
            if (frame.width, frame.height) != (info.width, info.height):
                raise UserError(f"{path}: changes its size from {info.width}×{info.height} at {frame.time:.2f} s")
            rgb = converter.reformat(frame, width, height, "rgb24", interpolation="AREA")
            shown, image = frame, torch.from_numpy(rgb.to_ndarray())
        yield time, image
    if shown is None:
        raise UserError(f"{path}: no frame can be decoded at {wanted[0]:.2f} s; is the file truncated?")


def _showing(frames: Iterator[Any], times: Iterable[float]) -> Iterator[tuple[Any, bool]]:
    """For each of the rising times, the frame showing then (the first, before it starts), and if it is the last."""
    frame = next(frames, None)
    if frame is None:
        return
    following = next(frames, None)
    for time in times:
        while following is not None and following.time <= time:
            frame, following = following, next(frames, None)
        yield frame, following is None
