"""Finding the clips of a dataset folder and their split."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avsa_fast.errors import UserError

# In order of preference if a clip has several files.
VIDEO = (".mp4", ".webm", ".mkv")
SOUND = (".flac", ".wav", ".m4a", ".opus", ".amb", *VIDEO)
HELD_OUT = 0.2  # share of the clips that are held out if there are no lists


@dataclass(frozen=True)
class Clip:
    """The files of a clip and its split.

    Attributes:
        name: Name of the clip.
        video: Video file, if there is one.
        sound: Sound file, if there is one.
        split: "train" or "test".
    """

    name: str
    video: Path | None
    sound: Path | None
    split: str


def find_clips(data: Path) -> list[Clip]:
    """Finds the clips of a dataset folder.

    Args:
        data: Dataset folder.

    Returns:
        Clips with a video, a sound or both, sorted by name and split as by `split_names`. If there are both train.txt
        and test.txt, clips in neither are omitted.

    Raises:
        UserError: The folder is missing or has no clips, or a list is invalid.
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
    """Finds the media files of a dataset folder.

    Args:
        data: Dataset folder.

    Returns:
        Paths of the videos and of the sounds, by the names of the clips.

    Raises:
        UserError: The folder `video` or `audio` is missing or cannot be listed.
    """
    videos, sounds = media_names(data)
    return (
        {name: data / "video" / file for name, file in videos.items()},
        {name: data / "audio" / file for name, file in sounds.items()},
    )


def media_names(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Like `media_files`, but returns file names: creating 100,000 Path objects takes a second.

    Args:
        data: Dataset folder.

    Returns:
        File names of the videos in `video` and of the sounds in `audio`, by the names of the clips.

    Raises:
        UserError: As for `media_files`.
    """
    return _names(data / "video", VIDEO), _names(data / "audio", SOUND)


def _names(folder: Path, suffixes: Sequence[str]) -> dict[str, str]:
    """File names in a folder by clip name; `suffixes` are in order of preference."""
    ranks = {suffix: rank for rank, suffix in enumerate(suffixes)}
    names: dict[str, str] = {}
    try:
        for name in os.listdir(folder):
            stem, _, suffix = name.rpartition(".")
            if f".{suffix.lower()}" in ranks and stem and stem[0] != ".":
                other = names.setdefault(stem, name)
                if other is not name:
                    names[stem] = min(name, other, key=lambda name: (ranks[os.path.splitext(name)[1].lower()], name))
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: no such folder; a dataset has video/NAME.mp4 and audio/NAME.flac: python -m avsa_fast.prepare "
            "SRC DST makes one from any folder of videos"
        ) from error
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error
    return names


def split_names(folder: Path, names: Sequence[str], complete: Sequence[str]) -> dict[str, str]:
    """Assigns clips to the splits "train" and "test" (held out), as listed in train.txt and test.txt.

    A list names clips, or recordings ({id} for all clips {id}-{start second}). If one list is missing, it is the
    complement of the other. If both are missing, a fifth of the complete clips is held out, chosen by a hash of their
    names; a single clip is not. If there are both, a clip in neither has no split.

    Args:
        folder: Folder with the lists.
        names: Names of the clips.
        complete: Names of the clips that have both video and sound.

    Returns:
        Split by name.

    Raises:
        UserError: A list cannot be read or names none of the clips, or both lists name the same clip.
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
    """Returns the id of the recording from a clip name of the form {id}-{start second}."""
    return name.rpartition("-")[0]


def _read_list(path: Path, names: Sequence[str]) -> set[str] | None:
    """The clips that a list names; None if there is no list."""
    if not path.exists():
        return None
    try:
        listed = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable list of names: {error}") from error
    found = {name for name in names if name in listed or recording_of(name) in listed}
    if listed and not found:
        raise UserError(f"{path}: no video or sound in this folder is named {min(listed)!r} or as on its other lines")
    return found


def _hold_out(names: Sequence[str]) -> set[str]:
    """Selects a fifth of the clips, at least one unless there is only one, identically on every machine.

    Clips are ordered by a hash of the recording's id, so that at most one recording is split between train and test.
    """

    def order(name: str) -> tuple[bytes, str]:
        return hashlib.sha256(recording_of(name).encode()).digest(), name

    count = max(1, round(HELD_OUT * len(names))) if len(names) > 1 else 0
    return set(sorted(names, key=order)[:count])
