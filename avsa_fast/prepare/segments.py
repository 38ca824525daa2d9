"""Clips that are segments of longer recordings, which lists name by the recording and the second it starts at."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from avsa_fast.data.clip_names import valid_name
from avsa_fast.data.lists import read_lines
from avsa_fast.errors import UserError

from .find import Job, Source

SEGMENT_SECONDS = 10.0  # seconds per segment listed in segments.txt, as in YT-360
SEGMENTS_LINE = re.compile(r"(\S+)\s+([0-9]{1,7}(?:,[0-9]{1,7})*)")


def cut_segments(found: Source, source: Path, *, transcode: bool) -> None:
    """Cuts recordings as segments.txt says, if there is one: a line "ID 0,12" gives ID-0 and ID-12, of 10 s each.

    Clips that are already cut, and recordings that are not listed, stay as they are.

    Args:
        found: The clips, which are changed.
        source: Folder with segments.txt.
        transcode: Whether clips will be transcoded, which segments require.

    Raises:
        UserError: The list is invalid, or needs `transcode`.
    """
    path = source / "segments.txt"
    if not path.exists():
        return
    segments: dict[str, list[tuple[str, int]]] = {}
    for line in read_lines(path, "a list of segments"):
        match = SEGMENTS_LINE.fullmatch(line)
        if match is None:
            raise UserError(f"{path}: not a list of segments such as 'yJtIK922yxg 54,68,78': {line[:80]!r}")
        starts = [int(start) for start in match[2].split(",")]
        segments.setdefault(match[1], []).extend((f"{match[1]}-{start}", start) for start in starts)
    for recording in sorted(segments.keys() & found.jobs.keys()):
        cut(found, recording, segments[recording], SEGMENT_SECONDS, path, transcode=transcode)


def cut(
    found: Source,
    recording: str,
    segments: Iterable[tuple[str, int]],
    seconds: float,
    path: Path,
    *,
    transcode: bool,
) -> None:
    """Replaces a recording by segments of it; those that are clips of their own already stay as they are.

    Args:
        found: The clips, which are changed.
        recording: Name of the recording.
        segments: Name and start in seconds of each segment.
        seconds: Duration of the segments.
        path: The list that names them, for messages.
        transcode: Whether clips will be transcoded, which segments require.

    Raises:
        UserError: `transcode` is false.
    """
    if not transcode:
        raise UserError(f"{path}: cuts {recording} into segments, which requires --transcode")
    whole: Job = found.jobs.pop(recording)
    for text, start in segments:
        name = valid_name(text)
        found.jobs.setdefault(name, replace(whole, name=name, begin=float(start), seconds=seconds))
