"""Lists of sound events in the format of the DCASE challenges: one line per event and frame of 100 ms."""

from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from avsa_fast.errors import UserError

from .lists import read_lines

FRAME_SECONDS = 0.1
MAX_FRAMES = 10**7
MAX_DISTANCE = 1e6


class SoundEvent(NamedTuple):
    """A sounding source in one frame.

    Attributes:
        frame: Number of the frame, from 0.
        kind: Index of the class.
        source: Number of the source.
        azimuth: Degrees, counter-clockwise.
        elevation: Degrees, up.
        distance: In the unit of the file: centimetres in STARSS23's annotations, metres in the predictions that the
            evaluation of DCASE 2024 expects. None: not stated.
    """

    frame: int
    kind: int
    source: int
    azimuth: float
    elevation: float
    distance: float | None = None


def read_events(path: Path) -> Iterator[SoundEvent]:
    """Reads a list of sound events.

    Args:
        path: CSV file with a line for each event and frame: frame, class, azimuth, elevation; or frame, class, source,
            azimuth, elevation, and perhaps the distance. The first line may be a header.

    Yields:
        The events in the order of the file; the source is 0 if the file has none.

    Raises:
        UserError: The file is not readable, or has another content.
    """
    for number, line in enumerate(read_lines(path, "a list of directions"), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if number == 1 and not cells[0].isdigit():
            continue
        event = _parsed(cells)
        if event is None:
            raise UserError(
                f"{path}: line {number} is {line[:80]!r}, not frame, class, source, azimuth, elevation in degrees, and "
                "perhaps distance"
            )
        yield event


def write_events(path: Path, events: Iterable[SoundEvent]) -> None:
    """Writes a list of sound events.

    Args:
        path: File to write, in a folder that is written atomically.
        events: The events.

    Raises:
        OSError: It cannot be written.
    """
    path.write_text("".join(map(event_line, events)), encoding="utf-8")


def event_line(event: SoundEvent) -> str:
    """Returns an event's line, with its end: degrees with one decimal, the distance with two."""
    line = f"{event.frame},{event.kind},{event.source},{event.azimuth:.1f},{event.elevation:.1f}"
    return f"{line}\n" if event.distance is None else f"{line},{event.distance:.2f}\n"


def _parsed(cells: list[str]) -> SoundEvent | None:
    """The event of a line's cells, or None if they are none."""
    if len(cells) == 4:
        cells = [*cells[:2], "0", *cells[2:]]
    if len(cells) not in (5, 6):  # 7: Cartesian coordinates, which would be read as angles
        return None
    try:
        frame, kind, source = (int(cell) for cell in cells[:3])
        azimuth, elevation = (float(cell) for cell in cells[3:5])
        distance = float(cells[5]) if len(cells) == 6 else None
    except ValueError:
        return None
    if not (0 <= frame < MAX_FRAMES and -(2**31) < kind < 2**31 and 0 <= source < 2**31):
        return None
    if not (abs(azimuth) <= 360 and abs(elevation) <= 90 and (distance is None or _is_distance(distance))):
        return None
    return SoundEvent(frame, kind, source, azimuth, elevation, distance)


def _is_distance(value: float) -> bool:
    return isfinite(value) and 0 <= value <= MAX_DISTANCE
