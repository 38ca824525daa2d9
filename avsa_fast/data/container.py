"""Opening media files of unknown origin, and decoding them from a given time on."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import av

from avsa_fast.errors import UserError

# Files only, of the formats that a dataset holds: no playlist can send FFmpeg to other files or to the network.
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": "mov,matroska,avi,flac,wav,w64,ogg,mp3"}


@contextmanager
def open_stream(path: Path, kind: Literal["video", "audio"]) -> Iterator[tuple[Any, Any]]:
    """A PyAV container and its main stream of one kind, decoding in one thread (loaders decode many files at a time).

    Raises UserError naming the file where it is missing, is no media file, has no such stream, and
    where decoding inside the `with` block fails.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with av.open(str(path), options=OPTIONS, metadata_errors="replace") as container:
            stream = container.streams.best(kind)
            if stream is None or stream.codec_context is None:
                raise UserError(f"{path}: no {kind} in this file")
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.EOFError as error:
        raise UserError(f"{path}: no {'frames' if kind == 'video' else 'samples'} in this {kind} file") from error
    except av.FFmpegError as error:
        raise UserError(f"{path}: not a readable {kind} file ({error.strerror})") from error


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


def decode_from(container: Any, stream: Any, time: float) -> Iterator[Any]:
    """Frames from the last key frame at or before a time stamp in seconds (from the first frame where none is)."""
    back = 0.0
    while True:
        target = max(time - back, 0.0)
        container.seek(int(target / stream.time_base), stream=stream)
        frames = (frame for frame in container.decode(stream) if frame.pts is not None)
        first = next(frames, None)
        if first is None:
            return iter(())
        if first.time <= time or target == 0:
            return chain([first], frames)
        back = 2 * back + 1  # an index of decoding times may land a key frame too late
