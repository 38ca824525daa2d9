"""Opening untrusted media files, and decoding them from a given time."""

import os
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import ENOMEM
from itertools import chain, islice
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import av

from avsa_fast.data.media_formats import FORMAT_NAMES, FORMATS, media_format
from avsa_fast.errors import ClipError, UserError

# Local files of the supported formats only, so that no content can make FFmpeg open other files or the network.
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(kind.demuxer for kind in FORMATS)}
# Accepts tags that are not UTF-8; from version 19, this is PyAV's default.
TAG_OPTIONS: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
MAX_WIDTH, MAX_HEIGHT = 16384, 8192
# Limits of the files kept open for later reads, since opening and probing one costs as much as decoding several frames.
# The pixels are the sum of the videos' frame sizes; a video decoder holds up to about 20 frames.
MAX_OPEN, MAX_OPEN_PIXELS = 256, 2**23
# Codecs whose decoders are not reused: FFmpeg's AAC decoder draws noise from a generator that a seek does not reset, so
# the samples would depend on earlier reads.
STATEFUL_DECODERS = ("aac",)
# Packets demuxed ahead of decoding; a decoder reorders at most 16 frames.
PACKET_LOOKAHEAD = 32

_open_files: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()
_lock = Lock()  # guards _open_files, since several threads may read files


def _reset_after_fork() -> None:
    """Resets the state in a forked child: file offsets are shared with the parent, and the lock may have been held."""
    global _lock
    _lock = Lock()
    _open_files.clear()


os.register_at_fork(after_in_child=_reset_after_fork)


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Context in which FFmpeg reads a file: its errors are raised as errors of the user's file.

    Args:
        path: Media file.
        kind: What is read, for messages: "video", "sound" or "media".

    Raises:
        ClipError: The file is not a media file, or decoding fails.
        UserError: The file is missing or holds no frames or samples.
    """
    try:
        yield
    except av.EOFError as error:
        raise UserError(f"{path}: no {'frames' if kind == 'video' else 'samples'} in this {kind} file") from error
    except av.FFmpegError as error:
        state = "costly" if error.errno == ENOMEM else "unreadable"
        raise ClipError(state, f"{path}: not a readable {kind} file ({error.strerror})") from error


def open_file(path: Path, kind: str) -> Any:
    """Opens a media file; use it in a context of `reading`.

    Args:
        path: Media file.
        kind: What is read, for messages.

    Returns:
        The PyAV container, to be closed by the caller.

    Raises:
        ClipError: The format is not supported.
        UserError: The file is missing.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    # With the protocol's name, a path such as "a:b.mp4" is not taken for a URL.
    return av.open(f"file:{path}", format=_demuxer(path, kind), options=OPTIONS, **TAG_OPTIONS)


@contextmanager
def open_stream(path: Path, kind: Literal["video", "sound"], number: int) -> Iterator[tuple[Any, Any]]:
    """Opens a stream of a file, for decoding in one thread (loaders decode many files at a time).

    The file stays open for later calls, so each caller must seek first; the least recently used files are closed.

    Args:
        path: Media file.
        kind: Kind of the stream.
        number: Number of the stream in the file.

    Yields:
        The PyAV container and the stream.

    Raises:
        ClipError: The file is not a media file or has no such stream, or decoding inside the `with` block fails.
        UserError: The file is missing or holds no frames or samples.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"{path}: no such file") from error
    key = (str(path), number, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    with reading(path, kind):
        with _lock:
            reused = _open_files.pop(key, None)
        container, stream = reused or _open(path, kind, number)
        try:
            yield container, stream
        except BaseException:
            container.close()
            raise
        _keep_open(key, container, stream)


def _open(path: Path, kind: Literal["video", "sound"], number: int) -> tuple[Any, Any]:
    """Opens a file and one of its streams. Raises ClipError if it has no such stream."""
    container = open_file(path, kind)
    stream = container.streams[number] if 0 <= number < len(container.streams) else None
    if stream is None or stream.type != {"video": "video", "sound": "audio"}[kind] or stream.codec_context is None:
        container.close()
        raise ClipError("incomplete", f"{path}: track {number} is no {kind}; has the file changed since prepare?")
    configure(stream)
    return container, stream


def configure(stream: Any) -> None:
    """Sets up a stream's decoder before its first use: one thread, and a limit on the size of frames.

    Args:
        stream: PyAV stream.
    """
    stream.codec_context.thread_count = 1
    if stream.type == "video":
        stream.codec_context.options = {"max_pixels": str(MAX_WIDTH * MAX_HEIGHT)}


def _demuxer(path: Path, kind: str) -> str:
    """FFmpeg's demuxer for a file. Raises ClipError if the format is not supported."""
    try:
        media = media_format(path)
    except OSError as error:
        raise ClipError("unreadable", f"{path}: not a readable {kind} file ({error.strerror})") from error
    if media is None:
        raise ClipError("unreadable", f"{path}: not a readable {kind} file; expected {FORMAT_NAMES}")
    return media.demuxer


def _keep_open(key: tuple[Any, ...], container: Any, stream: Any) -> None:
    """Keeps a file open for later calls, and closes the least recently used files beyond the limits."""
    if stream.codec_context.name in STATEFUL_DECODERS:
        container.close()
        return
    with _lock:
        evicted = [_open_files.pop(key)] if key in _open_files else []
        _open_files[key] = container, stream
        pixels = [s.codec_context.width * s.codec_context.height for _, s in _open_files.values() if s.type == "video"]
        while len(_open_files) > MAX_OPEN or sum(pixels) > MAX_OPEN_PIXELS:
            evicted.append(_open_files.popitem(last=False)[1])
            if evicted[-1][1].type == "video":
                pixels.pop(0)
    for container, _ in evicted:
        container.close()


def decode_from(container: Any, stream: Any, times: Sequence[float]) -> Iterator[Any]:
    """Decodes from the last key frame at or before times[0], or from the first frame if there is no such key frame.

    Args:
        container: PyAV container.
        stream: Stream of it to decode.
        times: Increasing timestamps in seconds. Frames that are displayed at none of them may be skipped.

    Returns:
        The decoded frames; those without a timestamp are dropped.
    """
    margin = 0.0
    while True:
        target = max(times[0] - margin, 0.0)
        seek(container, stream, target)
        frames = (frame for frame in _decode(container, stream, times) if frame.pts is not None)
        first = next(frames, None)
        if first is None:
            return iter(())
        if first.time <= times[0] or target == 0:
            return chain([first], frames)
        margin = 2 * margin + 1  # a seek by decoding times may land one key frame too late


def seek(container: Any, stream: Any, time: float) -> None:
    """Seeks to the last key frame at or before a time, or to the start of the file if there is none.

    Args:
        container: PyAV container.
        stream: Stream of it.
        time: Timestamp in seconds.
    """
    try:
        container.seek(int(time / stream.time_base), stream=stream)
        return
    except av.FFmpegError:
        # The stream starts later than FFmpeg knows, or is a single packet: then the file is read from its start.
        for option in ({}, {"backward": False}):
            with suppress(av.FFmpegError):
                container.seek(0, **option)
                return
    container.seek(0, unsupported_byte_offset=True)


def _decode(container: Any, stream: Any, times: Sequence[float]) -> Iterator[Any]:
    """Decodes the stream's next frames; skips H.264 frames that neither a requested time nor another frame needs.

    H.264 decoding stops after the frame displayed at the last time; its duration is set to last until the next frame.
    """
    if stream.codec_context.name != "h264":
        yield from container.decode(stream)
        return
    packets, tick = container.demux(stream), float(stream.time_base)
    window: deque[Any] = deque()
    known: list[int] = []  # sorted timestamps of the packets read so far
    first = True
    while True:
        for packet in islice(packets, PACKET_LOOKAHEAD - len(window)):
            window.append(packet)
            if packet.pts is not None:
                insort(known, packet.pts)
        if not window:
            return
        if not first:
            for _ in range(_skippable(window, times, tick, stream.codec_context.extradata or b"")):
                window.popleft()
        packet, displayed, first = window.popleft(), True, False
        if packet.pts is not None and (after := bisect_right(known, packet.pts)) < len(known):
            following = bisect_left(times, packet.pts * tick)
            displayed = following < len(times) and times[following] < known[after] * tick
        stream.codec_context.skip_frame = "DEFAULT" if displayed else "NONREF"
        for frame in packet.decode():
            after = bisect_right(known, frame.pts) if frame.pts is not None else len(known)
            is_last = after < len(known) and known[after] * tick > times[-1]
            if is_last:
                frame.duration = known[after] - frame.pts
            yield frame
            if is_last:
                return


def _skippable(window: Sequence[Any], times: Sequence[float], tick: float, extradata: bytes) -> int:
    """Number of packets before the next IDR picture if none of them is displayed at a requested time, else 0."""
    key = next((i for i, packet in enumerate(window) if i and packet.is_keyframe), 0)
    stamps = [packet.pts for packet in islice(window, key + 1)]
    if not key or None in stamps:
        return 0
    following = bisect_left(times, min(stamps) * tick)
    unused = following < len(times) and times[following] >= stamps[-1] * tick
    return key if unused and _is_idr(bytes(window[key]), extradata) else 0


def _is_idr(packet: bytes, extradata: bytes) -> bool:
    """Whether an H.264 packet with length-prefixed NAL units (as in MP4 and Matroska) holds an IDR picture.

    Other key frames may need earlier frames to be decoded completely.
    """
    if len(extradata) < 5 or extradata[0] != 1:
        return False
    size, offset = (extradata[4] & 3) + 1, 0
    while offset + size < len(packet):
        nal_type = packet[offset + size] & 31
        if nal_type in (1, 5):
            return nal_type == 5
        offset += size + int.from_bytes(packet[offset : offset + size])
    return False
