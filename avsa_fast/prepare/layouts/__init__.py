"""Layouts of folders of media, one module for each that is more than a tree or pairs of files."""

from pathlib import Path

from avsa_fast.choices import Layout as Layout
from avsa_fast.data.media_formats import TIMED_VIDEO_SUFFIXES
from avsa_fast.errors import UserError
from avsa_fast.prepare.find import Source, find_pairs, find_tree, has_pairs
from avsa_fast.prepare.segments import cut_segments

from .starss import find_starss, is_starss
from .youtube_lists import is_sphere360, is_yt_ambigen, use_sphere360, use_yt_ambigen


def find_source(source: Path, target: Path, *, transcode: bool, layout: Layout | None = None) -> Source:
    """Finds the clips of a folder of media.

    Args:
        source: Folder of media.
        target: Dataset folder; skipped if it is inside `source`.
        transcode: Whether clips will be transcoded, which segments of recordings require.
        layout: How the folder is laid out; None: as `recognise` says.

    Returns:
        The clips, sorted by name, and what else the layout tells about them.

    Raises:
        UserError: `source` is not a folder, holds no clips, or a list in it is invalid or needs `transcode`.
    """
    if not source.is_dir():
        raise UserError(f"{source}: no such folder")
    layout = layout or recognise(source)
    found = find_files(source, target, layout)
    if not found.jobs:
        hint = "".join(f"; {line}" for line in found.passed.lines()[:1])
        raise UserError(f"{source}: no videos in it ({', '.join(TIMED_VIDEO_SUFFIXES)}){hint}")
    if layout == "sphere360":
        use_sphere360(found, source, transcode=transcode)
    elif layout == "yt-ambigen":
        use_yt_ambigen(found, source, transcode=transcode)
    else:
        cut_segments(found, source, transcode=transcode)
    found.jobs = dict(sorted(found.jobs.items()))
    return found


def find_files(source: Path, target: Path, layout: Layout | None = None) -> Source:
    """Finds the files in a folder of media that belong together, before a list selects clips or cuts them.

    Args:
        source: Folder of media.
        target: Dataset folder; skipped if it is inside `source`.
        layout: How the folder is laid out; None: as `recognise` says.

    Returns:
        Videos and their sounds; possibly none.

    Raises:
        UserError: A folder cannot be listed.
    """
    layout = layout or recognise(source)
    if layout == "starss":
        return find_starss(source, target)
    if layout == "pairs" or (layout != "tree" and has_pairs(source)):
        return find_pairs(source, target)
    return find_tree(source, target)


def recognise(source: Path) -> Layout:
    """Returns the layout of a folder, by its folders and lists.

    Args:
        source: Folder of media.
    """
    if is_starss(source):
        return "starss"
    if is_yt_ambigen(source):
        return "yt-ambigen"
    if is_sphere360(source):
        return "sphere360"
    return "pairs" if has_pairs(source) else "tree"
