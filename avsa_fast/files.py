"""Atomic, durable replacement of files and folders: a crash or a power cut leaves either the old or the new one.

The new content is written beside the old under a temporary name, `.NAME.PID.part`, flushed to disk and renamed.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Replaces a file atomically.

    Args:
        path: File to replace or create, in an existing folder.

    Yields:
        Temporary path to write to. It replaces `path` at the end of the `with` block, or is deleted if the block
        raises.
    """
    part = _part(path)
    try:
        yield part
        _flush(part)
        os.replace(part, path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Creates a folder with all its files atomically.

    Args:
        path: Folder to create; it may exist if it is empty.

    Yields:
        Temporary folder to write to. It becomes `path` at the end of the `with` block, or is deleted if the block
        raises.
    """
    part = _part(path)
    part.mkdir(parents=True)
    try:
        yield part
        for content in (*part.rglob("*"), part):
            _flush(content)
        os.replace(part, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def atomic_symlink(path: Path, target: Path) -> None:
    """Replaces or creates a symbolic link atomically. It is not flushed to disk, so a power cut may lose it.

    Args:
        path: Link to replace or create.
        target: Path that it points to.
    """
    part = _part(path)
    part.symlink_to(target)
    os.replace(part, path)


def remove_parts(folder: Path, name: str = "*") -> None:
    """Removes temporary files and folders left by killed processes; none may be in use.

    Args:
        folder: Folder that contains them; it may be missing.
        name: Name of the files or folders that they were to replace, or a glob pattern.
    """
    for part in folder.glob(f".{name}.[0-9]*.part"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()


def _part(path: Path) -> Path:
    """Temporary path beside a path, unique to this process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _flush(path: Path) -> None:
    """Flushes a file's contents or a folder's entries to disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
