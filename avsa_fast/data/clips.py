"""The clips of a dataset folder: which files belong together, and which clips are held out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avsa_fast.data.tables import INDEX, read_table
from avsa_fast.errors import UserError

# In order of preference, where a clip has several files.
VIDEO = (".mp4", ".webm", ".mkv")
SOUND = (".flac", ".wav", ".m4a", ".opus", ".amb")
HELD_OUT = 0.2


@dataclass(frozen=True)
class Clip:
    name: str
    video: Path | None
    sound: Path | None
    split: str  # "train" or "test"


def find_clips(data: Path) -> list[Clip]:
    """The clips of a dataset folder, by name: each has a video, a sound or both.

    Held out ("test") are the clips of test.txt; without it, those that train.txt lacks; without both, a fifth of the
    complete clips, chosen by a hash of their names (none of a single clip). Where there are both lists, a clip in
    neither is left out. Raises UserError where the folder or a list is not what it should be.
    """
    if not data.is_dir():
        raise UserError(f"{data}: no such folder")
    videos, sounds = _files(data / "video", VIDEO), _files(data / "audio", SOUND)
    names = sorted(videos.keys() | sounds.keys())
    if not names:
        raise UserError(f"{data}: no clips; expected video/NAME.mp4 with audio/NAME.flac, .wav, .m4a or .opus")
    complete = [name for name in names if name in videos and name in sounds]
    splits = _splits(data, names, complete)
    return [Clip(name, videos.get(name), sounds.get(name), splits[name]) for name in names if name in splits]


def read_index(data: Path) -> list[tuple[Clip, dict[str, Any]]]:
    """The usable clips of a prepared dataset, each with its row of index.parquet, whose split is the one that counts.

    Raises UserError where the folder, the index or its media are not there.
    """
    clips = {clip.name: clip for clip in find_clips(data)}
    rows = [row for row in read_table(data / "index.parquet", INDEX) if row["state"] == "ok"]
    usable = [(clips[row["name"]], row) for row in rows if row["name"] in clips]
    usable = [(clip, row) for clip, row in usable if clip.video and clip.sound]
    if not usable:
        raise UserError(f"{data}: index.parquet lists no usable clip of this folder; remove it to have it made anew")
    return usable


def _files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; a dataset has video/NAME.mp4 and audio/NAME.flac")
    files = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    files.sort(key=lambda path: (suffixes.index(path.suffix.lower()), path.name), reverse=True)
    return {path.stem: path for path in files}  # the most preferred file comes last and stays


def _splits(data: Path, names: list[str], complete: list[str]) -> dict[str, str]:
    train, test = _read_list(data / "train.txt", names), _read_list(data / "test.txt", names)
    if train is None and test is None:
        test = _hold_out(complete)
    if test is None:
        test = set(names) - (train or set())
    if train is None:
        train = set(names) - test
    if both := sorted(train & test):
        raise UserError(f"{data}: {both[0]} is in both train.txt and test.txt")
    return dict.fromkeys(train, "train") | dict.fromkeys(test, "test")


def _read_list(path: Path, names: Sequence[str]) -> set[str] | None:
    if not path.exists():
        return None
    try:
        listed = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable list of names: {error}") from error
    if unknown := sorted(listed - set(names)):
        raise UserError(
            f"{path}: no video or sound named {unknown[0]!r} in this folder"
            + (f" (nor {len(unknown) - 1} more of the names listed)" if len(unknown) > 1 else "")
        )
    return listed


def _hold_out(names: list[str]) -> set[str]:
    """A fifth of the clips, at least one of two, the same ones on every machine.

    Names are {id}-{start second}: ordered by a hash of the id, clips of one recording stay together, and
    at most one recording is split between training and test.
    """

    def order(name: str) -> tuple[bytes, str]:
        return hashlib.sha256(name.rpartition("-")[0].encode()).digest(), name

    count = max(1, round(HELD_OUT * len(names))) if len(names) > 1 else 0
    return set(sorted(names, key=order)[:count])
