"""Random access to the frames of video files: by seeking, at regular intervals or at key frames."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from avsa_fast.data.container import MAX_HEIGHT, MAX_WIDTH, decode_from, open_stream, seconds_of, start_of
from avsa_fast.data.projection import Source
from avsa_fast.errors import ClipError, UserError

MAX_SECONDS = 24 * 3600
# Seconds; a file that ends earlier than its declared duration by more than this is reported as truncated.
TOLERANCE = 0.5


# Width and height are multiples of these, so that ops.gnomonic accepts the planes of every source: with 4:2:0 chroma,
# side-by-side views need a width divisible by 8, over-under views a height divisible by 4.
PLANES = 8, 4

# Keys are FFmpeg's AVColorSpace values. 2 is "unspecified", which FFmpeg treats as BT.601.
MATRICES = {1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601"}


Size = tuple[int, int]  # width and height, pixels
Limits = tuple[int | None, int | None]  # maximum width and height, pixels; None: unlimited


class Planes(NamedTuple):
    """Frames in YUV 4:2:0, as video decoders output them, with the planes of each frame stacked vertically."""

    bytes: torch.Tensor  # [F, 3/2 H, W] uint8: H rows of luma, then U and V, each stored in the bytes of H/4 rows
    matrix: str  # "bt601" or "bt709"
    full_range: bool


@dataclass(frozen=True)
class VideoInfo:
    """Properties that a video file declares."""

    seconds: float
    fps: float  # mean
    width: int
    height: int
    start: float = 0.0  # timestamp of the first frame, seconds


def probe_video(path: Path, *, flat: bool = False) -> VideoInfo:
    """Reads the properties of a video file, and decodes its first frame as a check.

    Args:
        path: Video file.
        flat: Whether the video is an ordinary one rather than equirectangular, so that its width may be odd.

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
        wanted = _wanted(centre, count, fps)
        frames = [image for _, image in _images(path, container, stream, wanted, (None, max_height))]
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
        width, height = _size((info.width, info.height), (None, max_height), PLANES)
        converter, made, images = VideoReformatter(), None, []
        for _, frame in _frames(path, container, stream, _wanted(centre, count, fps)):
            if frame is not made:
                made, planes = frame, _planes(frame, converter, width, height)
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
            wanted = start_of(container) + (i + 0.5) / count * info.seconds
            try:
                frame = next(decode_from(container, stream, [wanted]), None)
            finally:
                stream.codec_context.skip_frame = "DEFAULT"  # the stream stays open for later calls
            if frame is None or (frame.width, frame.height) != (info.width, info.height):
                raise UserError(f"{path}: no frame can be decoded at {wanted:.2f} s; is the file truncated?")
            size = _scaled((info.width, info.height), (None, max_height))
            rgb = VideoReformatter().reformat(frame, *size, "rgb24", interpolation="AREA")
            frames.append(torch.from_numpy(rgb.to_ndarray()))
    return torch.stack(frames)


def sample_frames(
    path: Path,
    fps: float,
    most: Limits = (None, None),
    begin: float = 0.0,
    length: float | None = None,
    source: Source = "erp",
    multiples: Size | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """Samples a video at a constant rate in one decoding pass, keeping the left eye's view of stereoscopic frames.

    Args:
        path: Video file.
        fps: Frames per second at which the video is sampled.
        most: Maximum width and height of a view; larger views are scaled down, keeping the aspect ratio.
        begin: Time of the first frame, in seconds from the start of the file.
        length: Seconds to sample; None: until the end of the file.
        source: Layout of the frames.
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
        wanted = [begin + i / fps for i in range(count)]
        for time, image in _images(path, container, stream, wanted, most, source, multiples):
            yield time - begin, image


def _wanted(centre: float, count: int, fps: float) -> list[float]:
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
    wanted = [centre + (i - (count - 1) / 2) / fps for centre in centres for i in range(count)]
    with open_stream(path, "video") as (container, stream):
        frames = (image for _, image in _images(path, container, stream, wanted, (None, max_height)))
        while window := list(islice(frames, count)):
            yield torch.stack(window)


def _info(path: Path, container: Any, stream: Any) -> VideoInfo:
    """Properties of an open video stream. Raises UserError if it is empty, too large or too long."""
    width, height = stream.codec_context.width, stream.codec_context.height
    seconds, rate = seconds_of(container, stream), stream.average_rate or stream.guessed_rate
    if not (0 < width <= MAX_WIDTH and 0 < height <= MAX_HEIGHT):
        raise ClipError("refused", f"{path}: {width}×{height} pixels; videos up to {MAX_WIDTH}×{MAX_HEIGHT} are read")
    if seconds <= 0 or not rate:
        raise UserError(f"{path}: a video with no frames")
    if seconds > MAX_SECONDS:
        raise ClipError(
            "refused",
            f"{path}: {seconds / 3600:.0f} hours long; videos up to {MAX_SECONDS / 3600:.0f} hours are read",
        )
    start = float((stream.start_time or 0) * stream.time_base)
    return VideoInfo(seconds, float(rate), width, height, start)


def _size(size: Size, most: Limits, multiples: Size) -> Size:
    """Output width and height: scaled down to the limits and rounded to the given multiples."""
    scale = _scale(size, most)
    width, height = (max(n, n * round(side * scale / n)) for side, n in zip(size, multiples, strict=True))
    return width, height


def _scaled(size: Size, most: Limits) -> Size:
    """Output width and height of an RGB image: unchanged unless it exceeds the limits."""
    return _size(size, most, (4, 1)) if _scale(size, most) < 1 else size


def _scale(size: Size, most: Limits) -> float:
    """Largest scale, at most 1, that satisfies the limits."""
    return min([1.0] + [limit / side for side, limit in zip(size, most, strict=True) if limit is not None])


def _images(
    path: Path,
    container: Any,
    stream: Any,
    wanted: list[float],
    most: Limits,
    source: Source = "erp",
    multiples: Size | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """Yields each requested time and the RGB image [H, W, 3] displayed then, cropped to one eye's view."""
    info = _info(path, container, stream)
    view = _Crop(info, source)
    size = _size(view.size, most, multiples) if multiples else _scaled(view.size, most)
    converter, made, image = VideoReformatter(), None, torch.empty(0)
    for time, frame in _frames(path, container, stream, wanted):
        if frame is not made:
            rgb = converter.reformat(view(frame), *size, "rgb24", interpolation="AREA")
            made, image = frame, torch.from_numpy(rgb.to_ndarray())
        yield time, image


class _Crop:
    """Crops stereoscopic frames to the left eye's view, without a copy."""

    def __init__(self, info: VideoInfo, source: Source) -> None:
        across, down = {"erp_left": (2, 1), "erp_top": (1, 2)}.get(source, (1, 1))
        self.size = info.width // across, info.height // down
        self._whole = across == down == 1
        self._graph: Graph | None = None

    def __call__(self, frame: Any) -> Any:
        if self._whole:
            return frame
        if self._graph is None:
            self._graph = graph = Graph()
            begin = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            crop = graph.add("crop", "{}:{}:0:0:exact=1".format(*self.size))
            graph.link_nodes(begin, crop, graph.add("buffersink")).configure()
        self._graph.push(frame)
        return self._graph.pull()


def _planes(frame: Any, converter: VideoReformatter, width: int, height: int) -> Planes:
    """Returns a frame as planes [3/2 H, W]; converts it only if its size, pixel format or colour matrix differs."""
    matrix = MATRICES.get(frame.colorspace)
    if matrix is None or frame.format.name not in ("yuv420p", "yuvj420p"):
        frame = converter.reformat(
            frame, width, height, "yuv420p", interpolation="AREA",
            dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG,
        )  # fmt: skip
        return Planes(torch.from_numpy(frame.to_ndarray()), "bt709", full_range=False)
    full_range = frame.color_range == ColorRange.JPEG or frame.format.name == "yuvj420p"
    if (frame.width, frame.height) != (width, height):
        frame = converter.reformat(frame, width, height, frame.format.name, interpolation="AREA")
    return Planes(torch.from_numpy(frame.to_ndarray()), matrix, full_range)


def _frames(path: Path, container: Any, stream: Any, wanted: list[float]) -> Iterator[tuple[float, Any]]:
    """Yields each requested time and the frame displayed then. Raises UserError on truncation or a change of size."""
    info, start = _info(path, container, stream), start_of(container)
    # Timestamps are rounded to the time base: half a tick of tolerance counts a frame as displayed at its exact time.
    tick = float(stream.time_base)
    stamps = [start + time + tick / 2 for time in wanted]
    frames = decode_from(container, stream, stamps)
    shown = None
    for time, (frame, is_last) in zip(wanted, _showing(frames, stamps), strict=False):
        if is_last and min(time, info.seconds) > frame.time + frame.duration * tick - start + TOLERANCE:
            raise UserError(f"{path}: no frame can be decoded after {frame.time - start:.2f} s; is the file truncated?")
        if frame is not shown and (frame.width, frame.height) != (info.width, info.height):
            raise UserError(f"{path}: changes its size from {info.width}×{info.height} at {frame.time:.2f} s")
        shown = frame
        yield time, frame
    if shown is None:
        raise UserError(f"{path}: no frame can be decoded at {wanted[0]:.2f} s; is the file truncated?")


def _showing(frames: Iterator[Any], times: Iterable[float]) -> Iterator[tuple[Any, bool]]:
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
