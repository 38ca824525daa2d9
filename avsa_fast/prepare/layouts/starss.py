"""STARSS22 and STARSS23: trees foa_dev/, video_dev/ and metadata_dev/ with the same folders and names below them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import radians
from pathlib import Path
from typing import Any

from avsa_fast.data.clip_names import valid_name
from avsa_fast.data.media_folders import PassedOver, walk_media
from avsa_fast.data.media_formats import SOUND_SUFFIXES, TIMED_VIDEO_SUFFIXES
from avsa_fast.data.sound_events import FRAME_SECONDS, read_events
from avsa_fast.errors import UserError
from avsa_fast.prepare.find import Job, Source

SOUNDS, VIDEOS, ANNOTATIONS = "foa_dev", "video_dev", "metadata_dev"
# Classes of STARSS22 and STARSS23, by index.
CLASSES = (
    "female speech", "male speech", "clapping", "telephone", "laughter", "domestic sounds", "footsteps", "door",
    "music", "musical instrument", "water tap", "bell", "knock",
)  # fmt: skip


def is_starss(source: Path) -> bool:
    """Returns whether a folder has STARSS's folder of ambisonic sounds.

    Args:
        source: Folder of media.
    """
    return (source / SOUNDS).is_dir()


def find_starss(source: Path, target: Path) -> Source:
    """Finds the clips of STARSS: files of the same path below foa_dev/ and video_dev/.

    Folders named like dev-test-sony are held out, those like dev-val are for validation, all others are for training.

    Args:
        source: Folder with foa_dev/ and video_dev/.
        target: Dataset folder; skipped if it is inside `source`.

    Raises:
        UserError: There is no foa_dev/.
    """
    if not is_starss(source):
        raise UserError(f"{source}: no {SOUNDS} in it; STARSS has {SOUNDS}/, {VIDEOS}/ and {ANNOTATIONS}/")
    found = Source({})
    sounds = _below(source / SOUNDS, SOUND_SUFFIXES, found.passed)
    videos = _below(source / VIDEOS, TIMED_VIDEO_SUFFIXES, found.passed) if (source / VIDEOS).is_dir() else {}
    for folder in sorted(source.iterdir()):
        used = folder.name in (SOUNDS, VIDEOS, ANNOTATIONS) or folder.resolve() == target.resolve()
        if folder.is_dir() and not used and not folder.name.startswith("."):
            found.passed.add(folder, f"of STARSS, {SOUNDS}, {VIDEOS} and {ANNOTATIONS} are used")
    paths = sorted(sounds.keys() | videos.keys())
    counts = Counter(path.name for path in paths)
    splits: dict[str, str] = {}
    for path in paths:
        name = valid_name(path.name if counts[path.name] == 1 else "__".join(path.parts))
        found.jobs[name] = Job(name, videos.get(path), sounds.get(path))
        splits[name] = _split(path)
        if (annotation := source / ANNOTATIONS / f"{path}.csv").is_file():
            found.annotations[name] = annotation
    found.splits = splits if "test" in splits.values() else None
    return found


def read_annotations(name: str, path: Path) -> Iterator[dict[str, Any]]:
    """Reads the directions of the sounds in a clip.

    Args:
        name: Name of the clip.
        path: CSV file that `data.sound_events.read_events` reads.

    Yields:
        Rows of truth.parquet, whose gain is null; the time is the middle of the frame.

    Raises:
        UserError: The file is not readable, or has another content.
    """
    for event in read_events(path):
        yield {
            "name": name,
            "time": (event.frame + 0.5) * FRAME_SECONDS,
            "source": event.source,
            "class": CLASSES[event.kind] if 0 <= event.kind < len(CLASSES) else str(event.kind),
            "azimuth": radians(event.azimuth),
            "elevation": radians(event.elevation),
            "gain": None,
        }


def _below(root: Path, suffixes: Sequence[str], passed: PassedOver) -> dict[Path, Path]:
    """Files with some suffixes below a folder, by their paths in it without suffix; the first suffix is preferred."""
    files = [folder / name for folder, names in walk_media(root, passed) for name in names]
    ranked = [(suffixes.index(file.suffix.lower()), file) for file in files if file.suffix.lower() in suffixes]
    found: dict[Path, Path] = {}
    for _, file in sorted(ranked):
        if found.setdefault(file.relative_to(root).with_suffix(""), file) != file:
            passed.add(file, "another file of its name is used")
    return found


def _split(path: Path) -> str:
    """Split of a clip by the first folder of its path."""
    folder = path.parts[0] if len(path.parts) > 1 else ""
    return "test" if "test" in folder else "validation" if "val" in folder else "train"
