"""Search of folders for media files, and what it passes over."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from avsa_fast.errors import UserError
from avsa_fast.terminal import notice, printable

from .media_formats import SOUND_SUFFIXES, UNSUPPORTED_SUFFIXES, VIDEO_SUFFIXES

MEDIA_SUFFIXES = VIDEO_SUFFIXES + SOUND_SUFFIXES
MAX_LINES = 3  # lines for one reason; more paths are counted in one line


class PassedOver:
    """Files and folders that a search does not use, each with a reason."""

    def __init__(self) -> None:
        """Starts without any."""
        self._paths: dict[str, set[Path]] = {}

    def add(self, path: Path, reason: str) -> None:
        """Adds a path.

        Args:
            path: File or folder.
            reason: Why it is not used, the same text for all paths of a kind.
        """
        self._paths.setdefault(reason, set()).add(path)

    def lines(self) -> list[str]:
        """Returns a line for each path, or one for all paths with the same reason if there are many."""
        lines = []
        for reason, paths in self._paths.items():
            first = sorted(paths)
            if len(first) > MAX_LINES:
                lines.append(f"passed over {first[0]} and {len(first) - 1} more: {reason}")
            else:
                lines += [f"passed over {path}: {reason}" for path in first]
        return [printable(line) for line in lines]


def find_media(paths: Iterable[Path]) -> list[Path]:
    """Lists media files, and reports on stderr what is passed over in folders.

    Args:
        paths: Files, and folders that are searched as by `walk_media`.

    Returns:
        Files as given, and files with a known suffix in folders, sorted by folder.

    Raises:
        UserError: If a path does not exist or no file is found.
    """
    found: list[Path] = []
    passed = PassedOver()
    for path in paths:
        if path.is_dir():
            found += sorted(folder / name for folder, names in walk_media(path, passed) for name in names)
        elif path.is_file():
            found.append(path)
        elif path.exists():
            raise UserError(f"{path}: neither a regular file nor a folder")
        else:
            raise UserError(f"{path}: no such file or folder")
    for line in passed.lines():
        notice(line)
    if not found:
        raise UserError(f"no video or sound in these folders ({', '.join(MEDIA_SUFFIXES)})")
    return list(dict.fromkeys(found))


def walk_media(root: Path, passed: PassedOver, skip: Iterable[Path] = ()) -> Iterator[tuple[Path, list[str]]]:
    """Searches a folder and the folders below it, in an order that does not depend on the file system.

    Links to folders are followed after all other folders, each folder is searched once, and those that contain `root`
    are not. Hidden files and folders are left out.

    Args:
        root: Folder to search.
        passed: Receives what is passed over: other media formats, files that are not regular, and folders that cannot
            be listed or that a link leads to a second time.
        skip: Folders that are left out, if they exist.

    Yields:
        A folder, by its path below `root`, and the sorted names of its media files. Broken links count as files.
    """
    seen = {(stat.st_dev, stat.st_ino) for stat in map(os.stat, root.resolve().parents)}
    skipped = {(stat.st_dev, stat.st_ino) for stat in (path.stat() for path in skip if path.exists())}
    folders, links = [root], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            stat = folder.stat()
            identity = stat.st_dev, stat.st_ino
            if identity in skipped:
                continue
            if identity in seen:
                passed.add(folder, "a link to a folder that is searched elsewhere or contains this one")
                continue
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            passed.add(folder, f"cannot be listed ({error.strerror})")
            continue
        seen.add(identity)
        names, below = _sort(folder, entries, passed, links)
        folders += reversed(below)
        yield folder, names


def _sort(
    folder: Path, entries: Iterable[os.DirEntry[str]], passed: PassedOver, links: list[Path]
) -> tuple[list[str], list[Path]]:
    """Media files and folders among the entries of a folder; adds links to folders to `links`."""
    names, below = list[str](), list[Path]()
    for entry in entries:
        if entry.name.startswith("."):
            continue
        suffix = os.path.splitext(entry.name)[1].lower()
        try:
            if entry.is_dir():
                (links if entry.is_symlink() else below).append(folder / entry.name)
            elif suffix in UNSUPPORTED_SUFFIXES:
                passed.add(folder / entry.name, f"{suffix} files are not read")
            elif suffix in MEDIA_SUFFIXES:
                if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
                    names.append(entry.name)
                else:
                    passed.add(folder / entry.name, "not a regular file")
        except OSError as error:
            passed.add(folder / entry.name, f"cannot be read ({error.strerror})")
    return names, below
