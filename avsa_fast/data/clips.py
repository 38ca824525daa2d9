"""Finding the clips of a dataset folder and their split."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from avsa_fast.bounds import shortened
from avsa_fast.errors import UserError

from .clip_names import are_valid_names, valid_name
from .lists import read_lines
from .media_formats import SOUND_SUFFIXES, TIMED_VIDEO_SUFFIXES
from .recordings import hold_out, recording_of

HELD_OUT = 0.2  # share of the clips that are held out if there are no lists


@dataclass(frozen=True)
class Clip:
    """The files of a clip and its split.

    Attributes:
        name: Name of the clip.
        video: Video file, if there is one.
        sound: Sound file, if there is one.
        split: "train", "test" or "validation".
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
        Clips with a video, a sound or both, sorted by name and split as by `split_names`, without those that have no
        split.

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
    return (
        _names(data / "video", TIMED_VIDEO_SUFFIXES),
        _names(data / "audio", SOUND_SUFFIXES + TIMED_VIDEO_SUFFIXES),
    )


def _names(folder: Path, suffixes: Sequence[str]) -> dict[str, str]:
    """File names in a folder by clip name; `suffixes` are in order of preference."""
    ranks = {suffix[1:]: rank for rank, suffix in enumerate(suffixes)}
    names: dict[str, str] = {}
    try:
        for name in os.listdir(folder):
            stem, _, suffix = name.rpartition(".")
            if (suffix in ranks or suffix.lower() in ranks) and stem and stem[0] != ".":
                other = names.setdefault(stem, name)
                if other is not name:
                    names[stem] = min(name, other, key=lambda name: (ranks[name.rpartition(".")[2].lower()], name))
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: no such folder; a dataset has video/NAME.mp4 and audio/NAME.flac: python -m avsa_fast.prepare "
            "SRC DST makes one from any folder of videos"
        ) from error
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error
    if are_valid_names(names):
        return names
    return {valid_name(stem): name for stem, name in names.items()}


def split_names(folder: Path, names: Sequence[str], complete: Sequence[str]) -> dict[str, str]:
    """Assigns clips to the splits "train", "test" (held out) and "validation", as lists of these names say.

    A list, such as train.txt, names clips, or recordings ({id} for all clips {id}-{start second}). If train.txt or
    test.txt is missing, it holds all clips that are in no other list. If both are missing, about a fifth of the
    complete clips is held out, in whole recordings chosen by a hash of their ids; a single recording is not. If there
    are both, a clip in no list has no split.

    Args:
        folder: Folder with the lists.
        names: Names of the clips.
        complete: Names of the clips that have both video and sound.

    Returns:
        Split by name.

    Raises:
        UserError: A list cannot be read or names none of the clips, or two lists name the same clip.
    """
    train, test, validation = (_read_list(folder / f"{split}.txt", names) for split in ("train", "test", "validation"))
    validation = validation or set()
    if train is None and test is None:
        candidates = [name for name in complete if name not in validation]
        test = hold_out(candidates, max(1, round(HELD_OUT * len(candidates))))
    if test is None:
        test = set(names) - (train or set()) - validation
    if train is None:
        train = set(names) - test - validation
    splits: dict[str, str] = {}
    for split, members in (("train", train), ("test", test), ("validation", validation)):
        if both := sorted(members & splits.keys()):
            raise UserError(f"{folder}: {both[0]} is in both {splits[both[0]]}.txt and {split}.txt")
        splits |= dict.fromkeys(members, split)
    return splits


def _read_list(path: Path, names: Collection[str]) -> set[str] | None:
    """The clips that a list names; None if there is no list."""
    if not path.exists():
        return None
    listed = set(read_lines(path, "a list of names"))
    found = {name for name in names if name.strip() in listed or recording_of(name) in listed}
    if listed and not found:
        raise UserError(
            f"{path}: no video or sound in this folder is named {shortened(repr(min(listed)))} or as on its other lines"
        )
    return found
