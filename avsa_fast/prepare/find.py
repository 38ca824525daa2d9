"""Clips in a folder: pairs of files in video/ and audio/, or videos anywhere in a tree with their sound beside them."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avsa_fast.data.clip_names import MAX_BYTES, distinct_name, is_valid_name, valid_name
from avsa_fast.data.clips import media_names
from avsa_fast.data.media_folders import PassedOver, walk_media
from avsa_fast.data.media_formats import SOUND_SUFFIXES, TIMED_VIDEO_SUFFIXES
from avsa_fast.terminal import printable

UNTIMED = "a format that does not state when each frame is shown; convert it to mp4 or mkv"


@dataclass(frozen=True)
class Job:
    """A clip to prepare: its files, and optionally the segment of them that it covers.

    Attributes:
        name: Name of the clip.
        video: Video file, if there is one.
        sound: Sound file, if there is one; same as `video` if the sound is inside it.
        begin: Start of the segment, seconds.
        seconds: Duration of the segment; None: the whole file.
    """

    name: str
    video: Path | None
    sound: Path | None
    begin: float = 0.0
    seconds: float | None = None


@dataclass
class Source:
    """What a folder of media holds.

    Attributes:
        jobs: Its clips, by name.
        splits: Split of each clip that is used ("train", "test" or "validation"); None: by lists of names, or by
            default, as `data.clips.split_names` does.
        annotations: CSV files with the directions of sounds, by clip, as `layouts.starss` reads them.
        passed: Files and folders that are not used.
        notes: Other lines for the user.
    """

    jobs: dict[str, Job]
    splits: dict[str, str] | None = None
    annotations: dict[str, Path] = field(default_factory=dict)
    passed: PassedOver = field(default_factory=PassedOver)
    notes: list[str] = field(default_factory=list)


def has_pairs(source: Path) -> bool:
    """Returns whether a folder has the folders video/ and audio/.

    Args:
        source: Folder of media.
    """
    return (source / "video").is_dir() and (source / "audio").is_dir()


def find_pairs(source: Path, target: Path) -> Source:
    """Finds the clips of a folder with video/ and audio/: files of the same name.

    Args:
        source: Folder with video/ and audio/.
        target: Dataset folder; skipped if it is inside `source`.

    Raises:
        UserError: A folder cannot be listed.
    """
    found = Source({})
    videos, sounds = media_names(source)
    walked = dict(walk_media(source, found.passed, (source / "video", source / "audio", *_inside(source, target))))
    for folder, files in ((source / "video", videos), (source / "audio", sounds)):
        walked |= walk_media(folder, found.passed)
        names = set(walked.get(folder, ()))
        for name, file in list(files.items()):
            if file not in names and (folder / file).exists():  # not a regular file, which is said already
                del files[name]
        walked[folder] = sorted(names.difference(files.values()))
    for folder, unused in walked.items():
        for file in unused:
            found.passed.add(folder / file, _why_unused(folder / file, source))
    for name in sorted(videos.keys() | sounds.keys()):
        video = source / "video" / videos[name] if name in videos else None
        sound = source / "audio" / sounds[name] if name in sounds else None
        found.jobs[name] = Job(name, video, sound)
    changed: dict[Path, str] = {}
    for folder, files in ((source / "video", videos), (source / "audio", sounds)):
        changed |= {folder / file: name for name, file in files.items() if name != file.rpartition(".")[0]}
    _note_names(found, changed)
    return found


def find_tree(source: Path, target: Path) -> Source:
    """Finds the clips of a tree: every video, named by its path with "__" in place of "/".

    The sound of a video is the file of the same name beside it, or else the sound inside it. If paths give the same
    name, the one with the fewest folders keeps it; others, and names that tables and file systems cannot hold, are
    changed as by `data.clip_names.distinct_name`, which a note tells.

    Args:
        source: Folder of media.
        target: Dataset folder; skipped if it is inside `source`.
    """
    found = Source({})
    candidates = []
    for folder, files in walk_media(source, found.passed, _inside(source, target)):
        parts = folder.relative_to(source).parts
        for video, sound in _pair(folder, files, found.passed):
            text = "__".join((*parts, os.path.splitext(video)[0]))
            # In this order, names are given: those that cannot be kept last, and after those of fewer folders.
            candidates.append((not is_valid_name(text), len(parts), "/".join((*parts, video)), text, sound))
    names: dict[str, tuple[str, str]] = {}
    changed: dict[Path, str] = {}
    for *_, path, text, sound in sorted(candidates):
        name = valid_name(text, path)
        while name in names:
            name = distinct_name(name, path)
        names[name] = path, sound
        if name != text:
            changed[source / path] = name
    for name in sorted(names):
        file = source / names[name][0]
        found.jobs[name] = Job(name, file, file.with_name(names[name][1]))
    _note_names(found, changed)
    return found


def _why_unused(path: Path, source: Path) -> str:
    """Why a media file is not among those that `find_pairs` uses."""
    if path.parent not in (source / "video", source / "audio"):
        return "not in video/ or audio/"
    if path.parent.name == "video" and path.suffix.lower() in SOUND_SUFFIXES:
        return "a sound in video/"
    if path.suffix.lower() not in SOUND_SUFFIXES + TIMED_VIDEO_SUFFIXES:
        return UNTIMED
    return "another file of its name is used"


def _pair(folder: Path, names: Sequence[str], passed: PassedOver) -> Iterator[tuple[str, str]]:
    """The videos among the sorted file names in a folder, each with the name of the file that holds its sound.

    A sound whose name differs in case is used if no other video or sound could be meant.
    """
    for name in names:
        if not name.lower().endswith(SOUND_SUFFIXES + TIMED_VIDEO_SUFFIXES):
            passed.add(folder / name, UNTIMED)
    videos = _by_stem(folder, names, TIMED_VIDEO_SUFFIXES, passed)
    sounds = _by_stem(folder, names, SOUND_SUFFIXES, passed)
    alone = [{stem for stem in one if stem not in other} for one, other in ((videos, sounds), (sounds, videos))]
    counts = [Counter(map(str.lower, stems)) for stems in alone]
    in_other_case = {stem.lower(): stem for stem in alone[1]}
    for stem, video in videos.items():
        lower = stem.lower()
        if stem not in sounds and counts[0][lower] == counts[1][lower] == 1:
            stem = in_other_case[lower]
        yield video, sounds.pop(stem, video)
    for sound in sounds.values():
        passed.add(folder / sound, "a sound without a video of its name beside it")


def _by_stem(folder: Path, names: Sequence[str], suffixes: Sequence[str], passed: PassedOver) -> dict[str, str]:
    """File names with some suffixes, by stem; the first suffix is preferred."""
    ranked = []
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in suffixes:
            ranked.append((suffixes.index(suffix.lower()), name, stem))
    found: dict[str, str] = {}
    for _, name, stem in sorted(ranked):
        if found.setdefault(stem, name) != name:
            passed.add(folder / name, "another file of its name is used")
    return found


def _note_names(found: Source, changed: Mapping[Path, str]) -> None:
    """Adds a note about clips that are not named like their files."""
    if changed:
        file, name = min(changed.items())
        many = f"{len(changed)} clips have names of their own, the first is" if len(changed) > 1 else "a clip is named"
        found.notes.append(
            f"{many} {name} for {printable(str(file))}: a name is UTF-8 without control characters, has at most "
            f"{MAX_BYTES} bytes, and is not used twice"
        )


def _inside(source: Path, target: Path) -> list[Path]:
    """The dataset folder, which is not searched, unless a folder is prepared in place."""
    return [] if source.resolve() == target.resolve() else [target]
