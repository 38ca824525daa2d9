"""Random access to the frames of video files: by seeking, at regular intervals or at key frames."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from av.video.reformatter import VideoReformatter

from avsa_fast.data.container import decode_from, open_stream
from avsa_fast.data.frame_conversion import (
    PLANE_MULTIPLES,
    EyeCrop,
    Limits,
    Planes,
    Size,
    assume_matrix,
    rgb_size,
    scaled_size,
    to_planes,
    to_rgb,
    turned,
    turned_planes,
)
from avsa_fast.data.projection import Projection
from avsa_fast.data.track_lengths import TOLERANCE
from avsa_fast.data.tracks import VideoTrack
from avsa_fast.errors import UserError


def read_frames(
    video: VideoTrack, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> torch.Tensor:
    """Reads frames around a point in time as RGB, for files of any constant or variable frame rate.

    Frame i is the one displayed at `centre + (i - (count - 1) / 2) / fps`. Times before the first frame give the first
    frame, times after the last frame give the last. Decoding starts at the key frame before the first requested time.
    Colours are converted with the matrix and range that the file declares; a matrix that it does not declare is the one
    that players assume for frames of this size.

    Args:
        video: Video track.
        centre: Centre time, in seconds from the track's zero.
        count: Number of frames.
        fps: Frames per second at which the video is sampled.
        max_height: Maximum number of rows. Higher videos are scaled down, keeping the aspect ratio except that the
            width is rounded to a multiple of 4. None: no limit.

    Returns:
        uint8 [count, H, W, 3], RGB.

    Raises:
        UserError: The file is unreadable, or truncated before a requested time.
    """
    with open_stream(video.path, "video", video.stream) as (container, stream):
        times = _window(centre, count, fps)
        frames = [image for _, image in _images(video, container, stream, times, (None, max_height))]
    return torch.stack(frames)


def read_planes(
    video: VideoTrack, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> Planes:
    """Reads the same frames as `read_frames`, as YUV 4:2:0 planes instead of RGB.

    BT.601 and BT.709 colours are kept as they are; others are converted to BT.709.

    Args:
        video: Video track.
        centre: Centre time, in seconds from the track's zero.
        count: Number of frames.
        fps: Frames per second at which the video is sampled.
        max_height: Maximum number of rows; higher videos are scaled down. None: no limit.

    Returns:
        The frames' planes, with a width that is a multiple of 8 and a height that is a multiple of 4.

    Raises:
        UserError: As for `read_frames`, or the colour matrix or range changes between the frames.
    """
    size = scaled_size((video.width, video.height), (None, max_height), PLANE_MULTIPLES)
    with open_stream(video.path, "video", video.stream) as (container, stream):
        converter, converted, images = VideoReformatter(), None, []
        for _, frame in _frames(video, container, stream, _window(centre, count, fps)):
            if frame is not converted:
                converted = frame
                planes = turned_planes(to_planes(frame, converter, _stored(size, video)), video.turns)
            images.append(planes)
    if len({(matrix, full_range) for _, matrix, full_range in images}) > 1:
        raise UserError(f"{video.path}: changes its colour matrix at {centre:.2f} s")
    return Planes(torch.stack([image.bytes for image in images]), *images[0][1:])


def read_key_frames(video: VideoTrack, count: int, max_height: int) -> torch.Tensor:
    """Reads evenly spaced key frames of a video, which are cheap to decode.

    Args:
        video: Video track.
        count: Number of key frames; the same one may be returned more than once.
        max_height: Maximum number of rows; higher videos are scaled down as by `read_frames`.

    Returns:
        uint8 [count, H, W, 3], RGB.

    Raises:
        UserError: The file is unreadable or truncated.
    """
    size = _stored(rgb_size((video.width, video.height), (None, max_height)), video)
    frames = []
    for i in range(count):
        with open_stream(video.path, "video", video.stream) as (container, stream):
            stream.codec_context.skip_frame = "NONKEY"
            time = video.start + (i + 0.5) / count * video.seconds
            try:
                frame = next(decode_from(container, stream, [time]), None)
            finally:
                stream.codec_context.skip_frame = "DEFAULT"  # the stream stays open for later calls
            if frame is None:
                raise UserError(f"{video.path}: no frame can be decoded at {time:.2f} s; is the file truncated?")
            _check_size(video, frame, None)
            assume_matrix(frame)
            frames.append(turned(to_rgb(frame, VideoReformatter(), size), video.turns))
    return torch.stack(frames)


def sample_frames(
    video: VideoTrack,
    fps: float,
    max_size: Limits = (None, None),
    begin: float = 0.0,
    length: float | None = None,
    projection: Projection = "erp",
    multiples: Size | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """Samples a video at a constant rate in one decoding pass, keeping the left eye's view of stereoscopic frames.

    Args:
        video: Video track.
        fps: Frames per second at which the video is sampled.
        max_size: Maximum width and height of a view; larger views are scaled down, keeping the aspect ratio.
        begin: Time of the first frame, in seconds from the track's zero.
        length: Seconds to sample; None: until the end of the track.
        projection: Projection of the frames.
        multiples: Numbers that the output width and height are multiples of; None: as by `read_frames`.

    Yields:
        Seconds from `begin`, and the frame displayed then as uint8 [H, W, 3] RGB. While a frame stays on display, the
        same tensor is yielded again.

    Raises:
        UserError: As for `read_frames`.
    """
    seconds = video.end - begin if length is None else length
    times = [begin + i / fps for i in range(max(1, int(seconds * fps + 1e-6)))]
    with open_stream(video.path, "video", video.stream) as (container, stream):
        for time, image in _images(video, container, stream, times, max_size, projection, multiples):
            yield time - begin, image


def read_windows(
    video: VideoTrack, centres: Sequence[float], count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> Iterator[torch.Tensor]:
    """Reads frames around several points in time in one decoding pass; otherwise like `read_frames`.

    Args:
        video: Video track.
        centres: Centre times, in seconds from the track's zero, increasing by at least count / fps.
        count: Frames per window.
        fps: Frames per second at which the video is sampled.
        max_height: Maximum number of rows; higher videos are scaled down. None: no limit.

    Yields:
        uint8 [count, H, W, 3] RGB for each centre.

    Raises:
        UserError: As for `read_frames`.
    """
    times = [time for centre in centres for time in _window(centre, count, fps)]
    with open_stream(video.path, "video", video.stream) as (container, stream):
        frames = (image for _, image in _images(video, container, stream, times, (None, max_height)))
        while window := list(islice(frames, count)):
            yield torch.stack(window)


def _window(centre: float, count: int, fps: float) -> list[float]:
    """Times, in seconds, of `count` frames around a centre."""
    return [float(centre) + (i - (count - 1) / 2) / fps for i in range(count)]


def _stored(size: Size, video: VideoTrack) -> Size:
    """Width and height, before the display matrix is applied, of frames that have a size when displayed."""
    return (size[1], size[0]) if video.turns % 2 else size


def _images(
    video: VideoTrack,
    container: Any,
    stream: Any,
    times: list[float],
    max_size: Limits,
    projection: Projection = "erp",
    multiples: Size | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """Yields each requested time and the RGB image [H, W, 3] displayed then, cropped to one eye's view."""
    crop = EyeCrop((video.width, video.height), projection, video.turns)
    size = scaled_size(crop.size, max_size, multiples) if multiples else rgb_size(crop.size, max_size)
    converter, converted, image = VideoReformatter(), None, torch.empty(0)
    for time, frame in _frames(video, container, stream, times):
        if frame is not converted:
            converted, image = frame, turned(to_rgb(crop(frame), converter, _stored(size, video)), video.turns)
        yield time, image


def _frames(video: VideoTrack, container: Any, stream: Any, times: list[float]) -> Iterator[tuple[float, Any]]:
    """Yields each requested time and the frame displayed then. Raises UserError on truncation or a change of size."""
    # Timestamps are rounded to the time base: half a tick of tolerance counts a frame as displayed at its exact time.
    tick = float(stream.time_base)
    stamps = [video.zero + time + tick / 2 for time in times]
    frames = decode_from(container, stream, stamps)
    previous = None
    for time, (frame, is_last) in zip(times, _displayed(frames, stamps), strict=False):
        shown_until = frame.time + frame.duration * tick - video.zero
        if is_last and min(time, video.end) > shown_until + TOLERANCE:
            raise UserError(
                f"{video.path}: no frame can be decoded after {frame.time - video.zero:.2f} s; is the file truncated?"
            )
        if frame is not previous:
            _check_size(video, frame, previous)
            assume_matrix(frame)
        previous = frame
        yield time, frame
    if previous is None:
        raise UserError(f"{video.path}: no frame can be decoded at {times[0]:.2f} s; is the file truncated?")


def _check_size(video: VideoTrack, frame: Any, previous: Any | None) -> None:
    """Raises UserError if a frame has another size than the track's first one; `previous` is displayed before it."""
    first = _stored((video.width, video.height), video)
    if (frame.width, frame.height) == first:
        return
    time = f"by {frame.time - video.zero:.2f} s"
    if previous is not None:
        time = f"between {previous.time - video.zero:.2f} s and {frame.time - video.zero:.2f} s"
    raise UserError(
        f"{video.path}: its size changes from {first[0]}×{first[1]} to {frame.width}×{frame.height} pixels {time}; "
        "encode it again with one size"
    )


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
