"""The clips of a dataset folder: which files belong together, and which clips are held out."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avsa_fast.errors import UserError

# In order of preference, where a clip has several files.
VIDEO = (".mp4", ".webm", ".mkv")
SOUND = (".flac", ".wav", ".m4a", ".opus", ".amb", *VIDEO)
HELD_OUT = 0.2


@dataclass(frozen=True)
class Clip:
    name: str
    video: Path | None
    sound: Path | None
    split: str  # "train" or "test"


def find_clips(data: Path) -> list[Clip]:
    """The clips of a dataset folder, by name: each has a video, a sound or both.

    Their splits are those of `split_names`; where there are both lists, a clip in neither is left out.
    Raises UserError where the folder or a list is not what it should be.
    """
    if not data.is_dir():
        raise UserError(f"{data}: no such folder")
    videos, sounds = media_files(data)
    names = sorted(videos.keys() | sounds.keys())
    if not names:
        raise UserError(f"{data}: no clips; expected video/NAME.mp4 with audio/NAME.flac, .wav, .m4a or .opus")
    complete = [name for name in names if name in videos and name in sounds]
    splits = split_names(data, names, complete)
    return [Clip(name, videos.get(name), sounds.get(name), splits[name]) for name in names if name in splits]


def media_files(data: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The videos and the sounds of a dataset folder, by the clips' names. Raises UserError where there are none."""
    videos, sounds = media_names(data)
    return (
        {name: data / "video" / file for name, file in videos.items()},
        {name: data / "audio" / file for name, file in sounds.items()},
    )


def media_names(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """As `media_files`, the files' names in their folders: a hundred thousand paths take a second to make."""
    return _names(data / "video", VIDEO), _names(data / "audio", SOUND)


def _names(folder: Path, suffixes: Sequence[str]) -> dict[str, str]:
    ranks = {suffix: rank for rank, suffix in enumerate(suffixes)}
    found: dict[str, str] = {}
    try:
        for name in os.listdir(folder):
            stem, _, suffix = name.rpartition(".")
            if f".{suffix.lower()}" in ranks and stem and stem[0] != ".":
                other = found.setdefault(stem, name)
                if other is not name:
                    found[stem] = min(name, other, key=lambda name: (ranks[os.path.splitext(name)[1].lower()], name))
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no such folder; a dataset has video/NAME.mp4 and audio/NAME.flac") from error
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error
    return found


def split_names(folder: Path, names: Sequence[str], complete: Sequence[str]) -> dict[str, str]:
    """The split, "train" or "test", of clips by name, as a folder's train.txt and test.txt say.

    A list names clips, or recordings ({id} for all {id}-{start second}). Held out ("test") are those of test.txt;
    without it, those that train.txt lacks; without both, a fifth of the complete clips, chosen by a hash of their names
    (none of a single clip). Where there are both lists, a clip in neither has no split.
    Raises UserError where a list cannot be read, names no clip that is there, or shares one with the other.
    """
    train, test = _read_list(folder / "train.txt", names), _read_list(folder / "test.txt", names)
    if train is None and test is None:
        test = _hold_out(complete)
    if test is None:
        test = set(names) - (train or set())
    if train is None:
        train = set(names) - test
    if both := sorted(train & test):
        raise UserError(f"{folder}: {both[0]} is in both train.txt and test.txt")
    return dict.fromkeys(train, "train") | dict.fromkeys(test, "test")


def recording_of(name: str) -> str:
    """The recording's id in a clip's name {id}-{start second}."""
    return name.rpartition("-")[0]


def _read_list(path: Path, names: Sequence[str]) -> set[str] | None:
    if not path.exists():
        return None
    try:
        listed = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable list of names: {error}") from error
    found = {name for name in names if name in listed or recording_of(name) in listed}
    if listed and not found:
        raise UserError(f"{path}: no video or sound in this folder is named {min(listed)!r} or by another of its lines")
    return found


def _hold_out(names: Sequence[str]) -> set[str]:
    """A fifth of the clips, at least one of two, the same ones on every machine.

    Names are {id}-{start second}: ordered by a hash of the id, clips of one recording stay together, and
    at most one recording is split between training and test.
    """

    def order(name: str) -> tuple[bytes, str]:
        return hashlib.sha256(recording_of(name).encode()).digest(), name

    count = max(1, round(HELD_OUT * len(names))) if len(names) > 1 else 0
    return set(sorted(names, key=order)[:count])
