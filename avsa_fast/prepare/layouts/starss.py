"""STARSS22 and STARSS23: trees foa_dev/, video_dev/ and metadata_dev/ with the same folders and names below them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import radians
from pathlib import Path
from typing import Any

from avsa_fast.data.clip_names import valid_name
from avsa_fast.data.lists import read_lines
from avsa_fast.data.media_folders import PassedOver, walk_media
from avsa_fast.data.media_formats import SOUND_SUFFIXES, TIMED_VIDEO_SUFFIXES
from avsa_fast.errors import UserError
from avsa_fast.prepare.find import Job, Source

SOUNDS, VIDEOS, ANNOTATIONS = "foa_dev", "video_dev", "metadata_dev"
FRAME_SECONDS = 0.1  # per frame of an annotation
MAX_FRAMES = 10**7
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
        path: CSV file with a line for each source and frame of 0.1 s: number of the frame, index of the class, number
            of the source, azimuth (counter-clockwise) and elevation in degrees, and perhaps the distance. The first
            line may be a header.

    Yields:
        Rows of truth.parquet, whose gain is null; the time is the middle of the frame.

    Raises:
        UserError: The file is not readable, or has another content.
    """
    for number, line in enumerate(read_lines(path, "a list of directions"), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if number == 1 and not cells[0].isdigit():
            continue
        try:
            frame, kind, source = (int(cell) for cell in cells[:3])
            azimuth, elevation = (float(cell) for cell in cells[3:5])
        except ValueError:
            frame = -1
        if not (0 <= frame < MAX_FRAMES and 0 <= source < 2**31 and abs(azimuth) <= 360 and abs(elevation) <= 90):
            raise UserError(
                f"{path}: line {number} is {line[:80]!r}, not frame, class, source, azimuth, elevation in degrees"
            )
        yield {
            "name": name,
            "time": (frame + 0.5) * FRAME_SECONDS,
            "source": source,
            "class": CLASSES[kind] if 0 <= kind < len(CLASSES) else str(kind),
            "azimuth": radians(azimuth),
            "elevation": radians(elevation),
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
