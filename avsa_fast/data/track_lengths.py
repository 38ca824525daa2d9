"""Lengths and frame rates of tracks: as the file states them, or found by reading its packets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av

from avsa_fast.errors import ClipError

from .container import decode_from, seek

# Seconds; a file that ends earlier than the length it states by more than this is reported as truncated.
TOLERANCE = 0.5
ESTIMATED_LENGTHS = ("mp3",)  # formats whose stated length may be an estimate from the bit rate
# Formats that state no lengths and starts of tracks, for which FFmpeg may give those of the whole file.
WITHOUT_TRACK_LENGTHS = ("matroska",)


class TrackLengths:
    """Ends of a file's tracks: stated by the file, or found by reading its packets."""

    def __init__(self, path: Path, container: Any, streams: Sequence[Any]) -> None:
        """Stores the tracks.

        Args:
            path: File, for messages.
            container: PyAV container.
            streams: Its streams that are of interest.
        """
        self._path, self._container, self._streams = path, container, streams
        self._read: dict[int, _Packets] = {}

    def seconds(self, stream: Any, start: float) -> float:
        """Returns the duration of a stream in seconds; 0 if it has no packets.

        Args:
            stream: PyAV stream.
            start: Timestamp at which it starts, in seconds.

        Raises:
            ClipError: All tracks end before the file states.
        """
        if stream.duration and self._container.format.name not in ESTIMATED_LENGTHS + WITHOUT_TRACK_LENGTHS:
            return float(stream.duration * stream.time_base)
        if not self._read:
            self._read = self._read_end() or self._read_all()
            self._check_end()
        packets = self._read.get(stream.index)
        return packets.end - start if packets else 0.0

    def rate(self, stream: Any) -> float:
        """Returns the mean frame rate of a stream in Hz; 0 if it is unknown."""
        if stated := stream.average_rate or stream.guessed_rate:
            return float(stated)
        packets = self._read_all().get(stream.index)
        return packets.number / (packets.end - packets.begin) if packets and packets.end > packets.begin else 0.0

    def _stated(self) -> float | None:
        """Timestamp, in Matroska, at which the file states that its longest track ends, if it does."""
        container = self._container
        if container.duration is None or container.format.name in ESTIMATED_LENGTHS:
            return None
        return float(container.duration / av.time_base)

    def _read_end(self) -> dict[int, "_Packets"]:
        """The last packets of all tracks; empty if the file does not state where they are, or some are missing."""
        stated = self._stated()
        found: dict[int, _Packets] = {}
        for stream in self._streams if stated is not None else ():
            if stream.index not in found:
                seek(self._container, stream, max((stated or 0.0) - 1, 0.0))
                found |= _packets(self._container)
        return found if all(stream.index in found for stream in self._streams) else {}

    def _read_all(self) -> dict[int, "_Packets"]:
        """All packets of all tracks."""
        seek(self._container, self._streams[0], 0.0)
        return _packets(self._container)

    def _check_end(self) -> None:
        """Raises ClipError if all tracks end before the file states."""
        stated, end = self._stated(), max((packets.end for packets in self._read.values()), default=0.0)
        if stated is not None and end < stated - TOLERANCE:
            raise ClipError(
                "unreadable", f"{self._path}: ends after {end:.2f} s, not {stated:.2f} s; is the file truncated?"
            )


class _Packets(NamedTuple):
    """Packets of a track: timestamp of the first one and end of the last one, in seconds, and their number."""

    begin: float
    end: float
    number: int


def _packets(container: Any) -> dict[int, _Packets]:
    """Packets of each stream, from the current position to the end of the file."""
    found: dict[int, _Packets] = {}
    for packet in container.demux():
        if packet.pts is not None:
            begin = float(packet.pts * packet.time_base)
            end = begin + float((packet.duration or 0) * packet.time_base)
            known = found.get(packet.stream_index, _Packets(begin, end, 0))
            found[packet.stream_index] = _Packets(min(known.begin, begin), max(known.end, end), known.number + 1)
    return found


def start_of(container: Any, stream: Any) -> float:
    """Returns the timestamp at which a stream starts, in seconds.

    Args:
        container: PyAV container.
        stream: Stream of it.
    """
    stated = float((stream.start_time or 0) * stream.time_base)
    if container.format.name not in WITHOUT_TRACK_LENGTHS:
        return stated
    if stated < 0:  # by FFmpeg up to 8.0, which counts the samples that the decoder drops
        first = next((frame.time for frame in decode_from(container, stream, [0.0])), stated)
    else:  # an earlier packet only holds samples that the decoder drops
        seek(container, stream, 0.0)
        stamps = (packet.pts for packet in container.demux(stream) if packet.pts is not None)
        first = next((float(stamp * stream.time_base) for stamp in stamps), stated)
    return max(stated, first)
