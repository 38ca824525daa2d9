"""Sphere360 and YT-Ambigen: lists of clips of YouTube videos, named by the video's id and the second they start at.

Sphere360 has train.txt and test.txt with lines such as `yJtIK922yxg_54`, for clips of 10 s. YT-Ambigen has train.csv,
valid.csv and test.csv, which begin with a header and name the files of features made from its clips of 5 s, as in
`yJtIK922yxg_54.npy`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from avsa_fast.data.clip_names import valid_name
from avsa_fast.data.lists import read_lines
from avsa_fast.errors import UserError
from avsa_fast.prepare.find import Source
from avsa_fast.prepare.segments import cut

SPHERE360_LISTS = {"train.txt": "train", "test.txt": "test"}
YT_AMBIGEN_LISTS = {"train.csv": "train", "valid.csv": "validation", "test.csv": "test"}
SPHERE360_SECONDS, YT_AMBIGEN_SECONDS = 10.0, 5.0  # seconds per clip
BEGINNING = 4096  # bytes of a list that tell what it is
ID_LENGTH = 11  # characters of the id of a YouTube video
CLIP = re.compile(r"(.+)_([0-9]{1,7})(?:\.[A-Za-z0-9]+)?")
YOUTUBE_CLIP = re.compile(r"[\w-]{11}_[0-9]{1,7}(?:\.[A-Za-z0-9]+)?", re.ASCII)
Clips = list[tuple[str, int]]  # id of the video, second of the start


def is_sphere360(source: Path) -> bool:
    """Returns whether a folder has Sphere360's lists.

    Args:
        source: Folder of media.
    """
    lists = [source / name for name in SPHERE360_LISTS]
    return all(path.is_file() and _names_clip(path, line=0) for path in lists)


def is_yt_ambigen(source: Path) -> bool:
    """Returns whether a folder has YT-Ambigen's lists.

    Args:
        source: Folder of media.
    """
    lists = [source / name for name in YT_AMBIGEN_LISTS]
    return any(path.is_file() and _names_clip(path, line=1) for path in lists)


def use_sphere360(found: Source, source: Path, *, transcode: bool) -> None:
    """Cuts the recordings of a folder as Sphere360's lists say, and takes their split.

    Args:
        found: The clips, which are changed; those that are cut already are named as in the lists, or {id}-{second}.
        source: Folder with the lists.
        transcode: Whether clips will be transcoded, which cutting requires.

    Raises:
        UserError: A list is invalid, names none of the clips or the same clip as another, or needs `transcode`.
    """
    _use(found, source, SPHERE360_LISTS, SPHERE360_SECONDS, transcode)


def use_yt_ambigen(found: Source, source: Path, *, transcode: bool) -> None:
    """Like `use_sphere360`, for YT-Ambigen's lists.

    Args:
        found: As for `use_sphere360`.
        source: Folder with the lists.
        transcode: As for `use_sphere360`.

    Raises:
        UserError: As for `use_sphere360`.
    """
    _use(found, source, YT_AMBIGEN_LISTS, YT_AMBIGEN_SECONDS, transcode)


def _use(found: Source, source: Path, lists: Mapping[str, str], seconds: float, transcode: bool) -> None:
    present = {source / name: split for name, split in lists.items() if (source / name).exists()}
    if not present:
        raise UserError(f"{source}: no {' or '.join(lists)} in it, with lines such as yJtIK922yxg_54")
    whole = dict(found.jobs)
    splits: dict[str, str] = {}
    segments: dict[str, list[tuple[str, int]]] = {}
    listed = 0
    for path, split in present.items():
        clips = _read(path)
        listed += len(clips)
        for recording, second in clips:
            names = [valid_name(f"{recording}{joint}{second}") for joint in "_-"]
            name = next((name for name in names if name in whole), names[0])
            if name not in whole and recording not in whole:
                continue
            if splits.setdefault(name, split) != split:
                raise UserError(f"{path}: {name} is also in the list of split {splits[name]!r}")
            if name not in whole:
                segments.setdefault(recording, []).append((name, second))
    if not splits:
        raise UserError(
            f"{source}: none of the clips in {' and '.join(lists)} is here; expected ID.mp4 or ID_SECOND.mp4"
        )
    for recording in segments:
        cut(found, recording, segments[recording], seconds, next(iter(present)), transcode=transcode)
    for name in found.jobs.keys() - splits.keys():
        job = found.jobs.pop(name)
        found.passed.add(job.video or job.sound or source, "not in the lists of clips")
    if listed > len(splits):
        found.notes.append(f"{listed - len(splits)} of {listed} listed clips are of videos that are not here")
    found.splits = splits


def _read(path: Path) -> Clips:
    """The clips that a list names. A first line that names none is a header."""
    clips: Clips = []
    for number, line in enumerate(read_lines(path, "a list of clips"), start=1):
        cells = [cell.strip().strip('"') for cell in re.split(r"[,;\t]", line)]
        second = re.fullmatch(r"([0-9]{1,7})(\.0*)?", cells[1]) if len(cells) > 1 else None
        clip = CLIP.fullmatch(cells[0])
        if second and (clip is None or len(cells[0]) == ID_LENGTH):  # an id may end like a clip's name
            clips.append((cells[0], int(second[1])))
        elif clip:
            clips.append((clip[1], int(clip[2])))
        elif number > 1:
            raise UserError(f"{path}: line {number} is {line[:80]!r}, not ID_SECOND or ID,SECOND")
    return list(dict.fromkeys(clips))


def _names_clip(path: Path, line: int) -> bool:
    """Whether a line of a list, counted from 0 without empty ones, names a clip of a YouTube video."""
    with path.open("rb") as file:
        lines = file.read(BEGINNING).decode("utf-8-sig", errors="replace").split()
    return len(lines) > line and YOUTUBE_CLIP.fullmatch(lines[line]) is not None
