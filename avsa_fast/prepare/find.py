"""Discovery of the clips in a folder: pairs of files in video/ and audio/, or videos with sound anywhere in a tree."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from avsa_fast.data.clips import SOUND, VIDEO, media_files
from avsa_fast.errors import UserError

SEGMENT_SECONDS = 10.0  # seconds per segment listed in segments.txt, as in YT-360


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


def find_jobs(source: Path, target: Path, *, transcode: bool) -> list[Job]:
    """Lists the clips of a folder, sorted by name.

    If `source` has folders video/ and audio/, files of the same name form a clip. Otherwise every video in the tree
    is a clip, named by its path with "__" in place of "/". Its sound is the file of the same name beside it, or else
    the sound inside the video. A line "ID 0,12,30" of segments.txt cuts recording ID into the 10 s clips ID-0, ID-12
    and ID-30.

    Args:
        source: Folder of media.
        target: Dataset folder; skipped if it is inside `source`.
        transcode: Whether clips will be transcoded, which segments require.

    Returns:
        One job per clip.

    Raises:
        UserError: `source` is not a folder, holds no clips, or its segments.txt is invalid or needs `transcode`.
    """
    if not source.is_dir():
        raise UserError(f"{source}: no such folder")
    pairs = (source / "video").is_dir() and (source / "audio").is_dir()
    jobs = _find_pairs(source) if pairs else _find_tree(source, target)
    if not jobs:
        raise UserError(f"{source}: no videos in it ({', '.join(VIDEO)})")
    return _cut_segments(source, jobs, transcode)


def _find_pairs(source: Path) -> dict[str, Job]:
    videos, sounds = media_files(source)
    return {name: Job(name, videos.get(name), sounds.get(name)) for name in sorted(videos.keys() | sounds.keys())}


def _find_tree(source: Path, target: Path) -> dict[str, Job]:
    jobs: dict[str, Job] = {}
    for folder, files in _walk(source, target.resolve()):
        by_lower_case = {name.lower(): name for name in files}
        for name in sorted(files, key=lambda name: (_rank(name), name)):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in VIDEO or name.startswith("."):
                continue
            candidates = [stem.lower() + end for end in SOUND if end not in VIDEO]
            beside = [by_lower_case[candidate] for candidate in candidates if candidate in by_lower_case]
            path = folder / name
            clip = "__".join((*folder.relative_to(source).parts, stem))
            if clip not in jobs:
                jobs[clip] = Job(clip, path, folder / beside[0] if beside else path)
    return dict(sorted(jobs.items()))


def _walk(source: Path, target: Path) -> Iterator[tuple[Path, list[str]]]:
    for folder, folders, files in os.walk(source):
        here = Path(folder)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and (here / n).resolve() != target)
        yield here, files


def _rank(name: str) -> int:
    suffix = os.path.splitext(name)[1].lower()
    return VIDEO.index(suffix) if suffix in VIDEO else len(VIDEO)


def _cut_segments(source: Path, jobs: dict[str, Job], transcode: bool) -> list[Job]:
    """Cuts the recordings that segments.txt lists into segments; keeps other clips, such as those cut before."""
    path = source / "segments.txt"
    if not path.exists():
        return list(jobs.values())
    cut: dict[str, Job] = dict(jobs)
    for recording, starts in _read_segments(path).items():
        if recording not in jobs:
            continue
        if not transcode:
            raise UserError(f"{path}: cuts {recording} into segments, which requires --transcode")
        whole = cut.pop(recording)
        for start in starts:
            name = f"{recording}-{start}"
            cut.setdefault(name, replace(whole, name=name, begin=float(start), seconds=SEGMENT_SECONDS))
    return [cut[name] for name in sorted(cut)]


def _read_segments(path: Path) -> dict[str, list[int]]:
    segments = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                recording, starts = line.split()
                segments[recording] = [int(start) for start in starts.split(",")]
    except (OSError, ValueError) as error:  # ValueError includes UnicodeDecodeError
        raise UserError(f"{path}: not a list of segments such as 'yJtIK922yxg 54,68,78': {error}") from error
    return segments
