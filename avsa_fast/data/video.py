"""Random access to the frames of video files: by seeking, at regular intervals or at key frames."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from av.video.reformatter import VideoReformatter

from avsa_fast.data.container import MAX_HEIGHT, MAX_WIDTH, decode_from, open_stream, seconds_of, start_of
from avsa_fast.data.frame_conversion import (
    PLANE_MULTIPLES,
    EyeCrop,
    Limits,
    Planes,
    Size,
    rgb_size,
    scaled_size,
    to_planes,
    to_rgb,
)
from avsa_fast.data.projection import Projection
from avsa_fast.errors import ClipError, UserError

MAX_SECONDS = 24 * 3600
# Seconds; a file that ends earlier than its declared duration by more than this is reported as truncated.
TOLERANCE = 0.5


@dataclass(frozen=True)
class VideoInfo:
    """Properties that a video file declares.

    Attributes:
        seconds: Duration.
        fps: Mean frame rate, Hz.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        start: Timestamp of the first frame, seconds.
    """

    seconds: float
    fps: float
    width: int
    height: int
    start: float = 0.0


def probe_video(path: Path, *, flat: bool = False) -> VideoInfo:
    """Reads the properties of a video file, and decodes its first frame as a check.

    Args:
        path: Video file.
        flat: Whether the video is a perspective one rather than equirectangular, so that its width may be odd.

    Returns:
        Duration, frame rate, size and start time.

    Raises:
        ClipError: The file has no video or is unreadable, or its size or duration is not supported.
        UserError: The file is missing or has no frames.
    """
    with open_stream(path, "video") as (container, stream):
        info = _info(path, container, stream)
        if info.width % 2 and not flat:
            raise ClipError(
                "refused",
                f"{path}: an equirectangular video needs an even width, and this one is {info.width} pixels wide",
            )
        if next(decode_from(container, stream, [0.0]), None) is None:
            raise UserError(f"{path}: a video with no frames")
    return info


def read_frames(
    path: Path, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> torch.Tensor:
    """Reads frames around a point in time as RGB, for files of any constant or variable frame rate.

    Frame i is the one displayed at `centre + (i - (count - 1) / 2) / fps`. Times before the first frame give the first
    frame, times after the last frame give the last. Decoding starts at the key frame before the first requested time.
    Colours are converted with the matrix and range that the file declares.

    Args:
        path: Video file.
        centre: Centre time, in seconds from the start of the file.
        count: Number of frames.
        fps: Frames per second at which the video is sampled.
        max_height: Maximum number of rows. Higher videos are scaled down, keeping the aspect ratio except that the
            width is rounded to a multiple of 4. None: no limit.

    Returns:
        uint8 [count, H, W, 3], RGB.

    Raises:
        UserError: The file is unreadable, or truncated before a requested time.
    """
    with open_stream(path, "video") as (container, stream):
        times = _window(centre, count, fps)
        frames = [image for _, image in _images(path, container, stream, times, (None, max_height))]
    return torch.stack(frames)


def read_planes(path: Path, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None) -> Planes:
    """Reads the same frames as `read_frames`, as YUV 4:2:0 planes instead of RGB.

    BT.601 and BT.709 colours are kept as they are; others are converted to BT.709.

    Args:
        path: Video file.
        centre: Centre time, in seconds from the start of the file.
        count: Number of frames.
        fps: Frames per second at which the video is sampled.
        max_height: Maximum number of rows; higher videos are scaled down. None: no limit.

    Returns:
        The frames' planes, with a width that is a multiple of 8 and a height that is a multiple of 4.

    Raises:
        UserError: As for `read_frames`, or the colour matrix or range changes between the frames.
    """
    with open_stream(path, "video") as (container, stream):
        info = _info(path, container, stream)
        size = scaled_size((info.width, info.height), (None, max_height), PLANE_MULTIPLES)
        converter, converted, images = VideoReformatter(), None, []
        for _, frame in _frames(path, container, stream, _window(centre, count, fps)):
            if frame is not converted:
                converted, planes = frame, to_planes(frame, converter, size)
            images.append(planes)
    if len({(matrix, full_range) for _, matrix, full_range in images}) > 1:
        raise UserError(f"{path}: changes its colour matrix at {centre:.2f} s")
    return Planes(torch.stack([image.bytes for image in images]), *images[0][1:])


def read_key_frames(path: Path, count: int, max_height: int) -> torch.Tensor:
    """Reads evenly spaced key frames of a video, which are cheap to decode.

    Args:
        path: Video file.
        count: Number of key frames; the same one may be returned more than once.
        max_height: Maximum number of rows; higher videos are scaled down as by `read_frames`.

    Returns:
        uint8 [count, H, W, 3], RGB.

    Raises:
        UserError: The file is unreadable or truncated.
    """
    info = probe_video(path)
    frames = []
    for i in range(count):
        with open_stream(path, "video") as (container, stream):
            stream.codec_context.skip_frame = "NONKEY"
            time = start_of(container) + (i + 0.5) / count * info.seconds
            try:
                frame = next(decode_from(container, stream, [time]), None)
            finally:
                stream.codec_context.skip_frame = "DEFAULT"  # the stream stays open for later calls
            if frame is None or (frame.width, frame.height) != (info.width, info.height):
                raise UserError(f"{path}: no frame can be decoded at {time:.2f} s; is the file truncated?")
            size = rgb_size((info.width, info.height), (None, max_height))
            frames.append(to_rgb(frame, VideoReformatter(), size))
    return torch.stack(frames)


def sample_frames(
    path: Path,
    fps: float,
    max_size: Limits = (None, None),
    begin: float = 0.0,
    length: float | None = None,
    projection: Projection = "erp",
    multiples: Size | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """Samples a video at a constant rate in one decoding pass, keeping the left eye's view of stereoscopic frames.

    Args:
        path: Video file.
        fps: Frames per second at which the video is sampled.
        max_size: Maximum width and height of a view; larger views are scaled down, keeping the aspect ratio.
        begin: Time of the first frame, in seconds from the start of the file.
        length: Seconds to sample; None: until the end of the file.
        projection: Projection of the frames.
        multiples: Numbers that the output width and height are multiples of; None: as by `read_frames`.

    Yields:
        Seconds from `begin`, and the frame displayed then as uint8 [H, W, 3] RGB. While a frame stays on display, the
        same tensor is yielded again.

    Raises:
        UserError: As for `read_frames`.
    """
    with open_stream(path, "video") as (container, stream):
        seconds = _info(path, container, stream).seconds - begin if length is None else length
        count = max(1, int(seconds * fps + 1e-6))
        times = [begin + i / fps for i in range(count)]
        for time, image in _images(path, container, stream, times, max_size, projection, multiples):
            yield time - begin, image


def _window(centre: float, count: int, fps: float) -> list[float]:
    """Times, in seconds, of `count` frames around a centre."""
    return [float(centre) + (i - (count - 1) / 2) / fps for i in range(count)]


def read_windows(
    path: Path, centres: Sequence[float], count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> Iterator[torch.Tensor]:
    """Reads frames around several points in time in one decoding pass; otherwise like `read_frames`.

    Args:
        path: Video file.
        centres: Centre times, in seconds from the start of the file, increasing by at least count / fps.
        count: Frames per window.
        fps: Frames per second at which the video is sampled.
        max_height: Maximum number of rows; higher videos are scaled down. None: no limit.

    Yields:
        uint8 [count, H, W, 3] RGB for each centre.

    Raises:
        UserError: As for `read_frames`.
    """
    times = [time for centre in centres for time in _window(centre, count, fps)]
    with open_stream(path, "video") as (container, stream):
        frames = (image for _, image in _images(path, container, stream, times, (None, max_height)))
        while window := list(islice(frames, count)):
            yield torch.stack(window)


def _info(path: Path, container: Any, stream: Any) -> VideoInfo:
    """Properties of an open video stream. Raises UserError if it is empty, too large or too long."""
    width, height = stream.codec_context.width, stream.codec_context.height
    seconds, rate = seconds_of(container, stream), stream.average_rate or stream.guessed_rate
    if not (0 < width <= MAX_WIDTH and 0 < height <= MAX_HEIGHT):
        raise ClipError(
            "refused", f"{path}: {width}×{height} pixels; videos up to {MAX_WIDTH}×{MAX_HEIGHT} are supported"
        )
    if seconds <= 0 or not rate:
        raise UserError(f"{path}: a video with no frames")
    if seconds > MAX_SECONDS:
        raise ClipError(
            "refused",
            f"{path}: {seconds / 3600:.0f} hours long; videos up to {MAX_SECONDS / 3600:.0f} hours are supported",
        )
    start = float((stream.start_time or 0) * stream.time_base)
    return VideoInfo(seconds, float(rate), width, height, start)


def _images(
    path: Path,
    container: Any,
    stream: Any,
    times: list[float],
    max_size: Limits,
    projection: Projection = "erp",
    multiples: Size | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """Yields each requested time and the RGB image [H, W, 3] displayed then, cropped to one eye's view."""
    info = _info(path, container, stream)
    crop = EyeCrop((info.width, info.height), projection)
    size = scaled_size(crop.size, max_size, multiples) if multiples else rgb_size(crop.size, max_size)
    converter, converted, image = VideoReformatter(), None, torch.empty(0)
    for time, frame in _frames(path, container, stream, times):
        if frame is not converted:
            converted, image = frame, to_rgb(crop(frame), converter, size)
        yield time, image


def _frames(path: Path, container: Any, stream: Any, times: list[float]) -> Iterator[tuple[float, Any]]:
    """Yields each requested time and the frame displayed then. Raises UserError on truncation or a change of size."""
    info, start = _info(path, container, stream), start_of(container)
    # Timestamps are rounded to the time base: half a tick of tolerance counts a frame as displayed at its exact time.
    tick = float(stream.time_base)
    stamps = [start + time + tick / 2 for time in times]
    frames = decode_from(container, stream, stamps)
    previous = None
    for time, (frame, is_last) in zip(times, _displayed(frames, stamps), strict=False):
        if is_last and min(time, info.seconds) > frame.time + frame.duration * tick - start + TOLERANCE:
            raise UserError(f"{path}: no frame can be decoded after {frame.time - start:.2f} s; is the file truncated?")
        if frame is not previous and (frame.width, frame.height) != (info.width, info.height):
            raise UserError(f"{path}: changes its size from {info.width}×{info.height} at {frame.time:.2f} s")
        previous = frame
        yield time, frame
    if previous is None:
        raise UserError(f"{path}: no frame can be decoded at {times[0]:.2f} s; is the file truncated?")


def _displayed(frames: Iterator[Any], times: Iterable[float]) -> Iterator[tuple[Any, bool]]:
    """Yields, for each of the increasing times, the frame displayed then and whether it is the last one.

    Times before the first frame get the first frame.
    """
    frame = next(frames, None)
    if frame is None:
        return
    following = next(frames, None)
    for time in times:
        while following is not None and following.time <= time:
            frame, following = following, next(frames, None)
        yield frame, following is None
