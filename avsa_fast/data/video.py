"""Frames of a video file around a moment, by seeking."""

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
# A file that ends this much sooner than it says, in seconds, is truncated.
TOLERANCE = 0.5


# Of what width and height are multiples where ops.gnomonic reads planes: chroma is of halves, even in width and height.
PLANES = 8, 4

# Of FFmpeg's numbers of colour spaces; 2 is one that the file does not name, which FFmpeg takes for BT.601.
MATRICES = {1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601"}


Size = tuple[int, int]  # width and height, pixels
Limits = tuple[int | None, int | None]  # of them


class Planes(NamedTuple):
    """Frames as video decoders give them: 4:2:0 planes, one below the other."""

    bytes: torch.Tensor  # [F, 3/2 H, W] uint8: H rows of luma, then as many bytes as H/4 rows of U, and of V
    matrix: str  # "bt601" or "bt709"
    full_range: bool


@dataclass(frozen=True)
class VideoInfo:
    seconds: float
    fps: float  # mean
    width: int
    height: int
    start: float = 0.0  # time stamp of the first frame, seconds


def probe_video(path: Path, *, flat: bool = False) -> VideoInfo:
    """What a video file says of itself; its first frame is decoded.

    flat: an ordinary video, not an equirectangular one. Raises UserError naming the file where it cannot serve as such.
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
    """Frames around a moment, whatever the file's own frame rate, constant or variable.

    Frame i is the one showing at `centre + (i - (count - 1) / 2) / fps` seconds from the file's start; before the
    first frame it is the first, after the last frame the last. Decodes from the key frame before the first one wanted.

    `max_height` scales higher videos down to that many rows, keeping the aspect, to a width that is a multiple of 4.
    Colours are converted by the matrix and range that the file names.

    Returns uint8 [count, H, W, 3], RGB. Raises UserError naming the file where it is unreadable or truncated there.
    """
    with open_stream(path, "video") as (container, stream):
        wanted = _wanted(centre, count, fps)
        frames = [image for _, image in _images(path, container, stream, wanted, (None, max_height))]
    return torch.stack(frames)


def read_planes(path: Path, centre: float, count: int = 8, fps: float = 16.0, max_height: int | None = None) -> Planes:
    """The frames that `read_frames` reads, left in the colours that they have.

    Scaled down as there, and to a height that is a multiple of 4 and a width of 8: what `ops.gnomonic` reads.
    Raises as `read_frames` does, and where the colours change in between.
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
    """Key frames from all over a video, uint8 [count, H, W, 3] RGB, cheap to decode; scaled as by `read_frames`."""
    info = probe_video(path)
    frames = []
    for i in range(count):
        with open_stream(path, "video") as (container, stream):
            stream.codec_context.skip_frame = "NONKEY"
            wanted = start_of(container) + (i + 0.5) / count * info.seconds
            try:
                frame = next(decode_from(container, stream, [wanted]), None)
            finally:
                stream.codec_context.skip_frame = "DEFAULT"  # it stays open for others
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
    """The frames showing at 0, 1/fps, 2/fps … seconds from `begin` on, decoded in one pass: one eye's view of `source`.

    They end with the file, or `length` seconds after `begin`. A frame that stays is yielded as the same tensor.
    Views above `most` (width, height) are scaled down, keeping the aspect, all to `multiples` of width and height.
    Yields (seconds from `begin`, uint8 [H, W, 3] RGB). Raises as `read_frames` does.
    """
    with open_stream(path, "video") as (container, stream):
        seconds = _info(path, container, stream).seconds - begin if length is None else length
        count = max(1, int(seconds * fps + 1e-6))
        wanted = [begin + i / fps for i in range(count)]
        for time, image in _images(path, container, stream, wanted, most, source, multiples):
            yield time - begin, image


def _wanted(centre: float, count: int, fps: float) -> list[float]:
    return [float(centre) + (i - (count - 1) / 2) / fps for i in range(count)]


def read_windows(
    path: Path, centres: Sequence[float], count: int = 8, fps: float = 16.0, max_height: int | None = None
) -> Iterator[torch.Tensor]:
    """`read_frames` around each of some moments, decoded in one pass: uint8 [count, H, W, 3] at a time.

    The moments rise by at least count / fps seconds from one to the next. Raises as `read_frames` does.
    """
    wanted = [centre + (i - (count - 1) / 2) / fps for centre in centres for i in range(count)]
    with open_stream(path, "video") as (container, stream):
        frames = (image for _, image in _images(path, container, stream, wanted, (None, max_height)))
        while window := list(islice(frames, count)):
            yield torch.stack(window)


def _info(path: Path, container: Any, stream: Any) -> VideoInfo:
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
    """Width and height to read a picture at: scaled down to the limits, to multiples of some numbers."""
    scale = _scale(size, most)
    width, height = (max(n, n * round(side * scale / n)) for side, n in zip(size, multiples, strict=True))
    return width, height


def _scaled(size: Size, most: Limits) -> Size:
    """Width and height to read a picture at in RGB: its own, unless it is too large."""
    return _size(size, most, (4, 1)) if _scale(size, most) < 1 else size


def _scale(size: Size, most: Limits) -> float:
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
    """Seconds and RGB image [H, W, 3], of one eye's view, at each wanted time."""
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
    """Takes the left eye's view out of stereoscopic frames, without a copy."""

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
    """A frame as planes [3/2 H, W]; converted only where it is of another size or other colours."""
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
    """The frame showing at each wanted time. Raises UserError where one cannot be decoded or has another size."""
    info, start = _info(path, container, stream), start_of(container)
    # Stamps are rounded to the time base, so half a tick before a frame's stamp is its time already.
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
    """For each of the rising times, the frame showing then (the first, before it starts), and if it is the last."""
    frame = next(frames, None)
    if frame is None:
        return
    following = next(frames, None)
    for time in times:
        while following is not None and following.time <= time:
            frame, following = following, next(frames, None)
        yield frame, following is None
