"""Opening media files of unknown origin, and decoding them from a given time on."""

import os
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import ENOMEM
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import av

from avsa_fast.errors import ClipError, UserError

# Files only, of the formats that a dataset holds: no playlist can send FFmpeg to other files or to the network.
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": "mov,matroska,avi,flac,wav,w64,ogg,mp3"}
MAX_WIDTH, MAX_HEIGHT = 16384, 8192
# What a process keeps open for the next read: opening and probing a file costs as much as decoding some frames. A video
# decoder holds up to some 20 frames.
MOST_OPEN, MOST_OPEN_PIXELS = 256, 2**23
# FFmpeg's AAC decoder draws noise from a generator that a seek does not restart: what is read would depend on what was
# read before.
REMEMBERS = ("aac",)
# Packets looked at before decoding; a decoder reorders 16 frames at most.
AHEAD = 32

_kept: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()
os.register_at_fork(after_in_child=_kept.clear)  # two processes would move one file offset


@contextmanager
def open_stream(path: Path, kind: Literal["video", "audio"]) -> Iterator[tuple[Any, Any]]:
    """A PyAV container and its main stream of one kind, decoding in one thread (loaders decode many files at a time).

    It stays open for later calls, of which each must seek first; the files used longest ago are closed.
    Raises UserError naming the file where it is missing, is no media file, has no such stream, and
    where decoding inside the `with` block fails.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise UserError(f"{path}: no such file") from error
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    key = (str(path), kind, found.st_ino, found.st_size, found.st_mtime_ns)
    try:
        container, stream = _kept.pop(key) if key in _kept else _open(path, kind)
        try:
            yield container, stream
        except BaseException:
            container.close()
            raise
        _keep(key, container, stream)
    except av.EOFError as error:
        raise UserError(f"{path}: no {'frames' if kind == 'video' else 'samples'} in this {kind} file") from error
    except av.FFmpegError as error:
        state = "costly" if error.errno == ENOMEM else "unreadable"
        raise ClipError(state, f"{path}: not a readable {kind} file ({error.strerror})") from error


def _open(path: Path, kind: Literal["video", "audio"]) -> tuple[Any, Any]:
    container = av.open(str(path), options=OPTIONS, metadata_errors="replace")
    stream = container.streams.best(kind)
    if stream is None or stream.codec_context is None:
        container.close()
        raise ClipError("incomplete", f"{path}: no {kind} in this file")
    stream.codec_context.thread_count = 1
    if kind == "video":
        stream.codec_context.options = {"max_pixels": str(MAX_WIDTH * MAX_HEIGHT)}
    return container, stream


def _keep(key: tuple[Any, ...], container: Any, stream: Any) -> None:
    if stream.codec_context.name in REMEMBERS:
        container.close()
        return
    _kept[key] = container, stream
    pixels = [s.codec_context.width * s.codec_context.height for _, s in _kept.values() if s.type == "video"]
    while len(_kept) > MOST_OPEN or sum(pixels) > MOST_OPEN_PIXELS:
        container, stream = _kept.popitem(last=False)[1]
        if stream.type == "video":  # a closed container's streams must not be touched
            pixels.pop(0)
        container.close()


def start_of(container: Any) -> float:
    """The time stamp, in seconds, of a file's start.

    It is 0, whatever the first frame's stamp: sound and picture of one recording, cut into two files,
    share that zero. Only a cut that kept the stamps of a longer recording starts elsewhere.
    """
    first = (container.start_time or 0) / av.time_base
    return first if first >= 1 else 0.0


def seconds_of(container: Any, stream: Any) -> float:
    """Length of a stream in seconds, as the file declares it; 0 where it declares none."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def decode_from(container: Any, stream: Any, times: Sequence[float]) -> Iterator[Any]:
    """Frames from the last key frame at or before times[0] on (from the first frame where none is).

    times: rising time stamps in seconds. Frames that show at none of them may be left out.
    """
    back = 0.0
    while True:
        target = max(times[0] - back, 0.0)
        container.seek(int(target / stream.time_base), stream=stream)
        frames = (frame for frame in _decode(container, stream, times) if frame.pts is not None)
        first = next(frames, None)
        if first is None:
            return iter(())
        if first.time <= times[0] or target == 0:
            return chain([first], frames)
        back = 2 * back + 1  # an index of decoding times may land a key frame too late


def _decode(container: Any, stream: Any, times: Sequence[float]) -> Iterator[Any]:
    """The stream's next frames; H.264 frames that show at none of the times and serve no other one stay undecoded.

    H.264 ends with the frame that shows at the last of the times, which then lasts until the next one.
    """
    if stream.codec_context.name != "h264":
        yield from container.decode(stream)
        return
    packets, tick = container.demux(stream), float(stream.time_base)
    window: deque[Any] = deque()
    known: list[int] = []  # stamps, sorted, of the packets read so far
    first = True
    while True:
        for packet in islice(packets, AHEAD - len(window)):
            window.append(packet)
            if packet.pts is not None:
                insort(known, packet.pts)
        if not window:
            return
        if not first:
            for _ in range(_idle(window, times, tick, stream.codec_context.extradata or b"")):
                window.popleft()
        packet, wanted, first = window.popleft(), True, False
        if packet.pts is not None and (after := bisect_right(known, packet.pts)) < len(known):
            place = bisect_left(times, packet.pts * tick)
            wanted = place < len(times) and times[place] < known[after] * tick
        stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
        for frame in packet.decode():
            after = bisect_right(known, frame.pts) if frame.pts is not None else len(known)
            is_last = after < len(known) and known[after] * tick > times[-1]
            if is_last:
                frame.duration = known[after] - frame.pts
            yield frame
            if is_last:
                return


def _idle(window: Sequence[Any], times: Sequence[float], tick: float, extradata: bytes) -> int:
    """How many packets come before the next IDR picture, if none of them shows at any of the times which go on."""
    key = next((i for i, packet in enumerate(window) if i and packet.is_keyframe), 0)
    stamps = [packet.pts for packet in islice(window, key + 1)]
    if not key or None in stamps:
        return 0
    place = bisect_left(times, min(stamps) * tick)
    free = place < len(times) and times[place] >= stamps[-1] * tick
    return key if free and _is_idr(bytes(window[key]), extradata) else 0


def _is_idr(packet: bytes, extradata: bytes) -> bool:
    """Whether a packet as in MP4 and Matroska starts anew: other key frames may need those before them to be whole."""
    if len(extradata) < 5 or extradata[0] != 1:
        return False
    size, at = (extradata[4] & 3) + 1, 0
    while at + size < len(packet):
        kind = packet[at + size] & 31
        if kind in (1, 5):
            return kind == 5
        at += size + int.from_bytes(packet[at : at + size])
    return False
