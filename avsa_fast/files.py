"""Atomic, durable replacement of files and folders: a crash or a power cut leaves either the old or the new one.

The new content is written to a temporary path, flushed to disk and renamed. Temporary paths of a folder FOLDER are in
FOLDER/.avsa_fast/TOKEN/, beside a record, TOKEN.lock, that their process keeps locked. Records that are not locked
belong to killed processes; only what is on record is ever removed.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from avsa_fast.locks import STATE, create_lock, release, take_lock
from avsa_fast.writing import WriteError, make_folder, writing

_RECORD = re.compile(r"[0-9a-f]{16}\.lock|.+\.owner", re.DOTALL)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Replaces a file atomically.

    Args:
        path: File to replace or create, in an existing folder. If it is a link, the link is replaced.

    Yields:
        Temporary path to write to. It replaces `path` at the end of the `with` block, or is deleted if the block
        raises.

    Raises:
        WriteError: The file cannot be written; the old one is then unchanged.
    """
    with writing(path), _temporary(path) as part:
        yield part
        _flush(part)
        os.replace(part, path)
        _flush(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Creates a folder with all its files atomically.

    Args:
        path: Folder to create; it may exist if it is empty.

    Yields:
        Temporary folder to write to. It becomes `path` at the end of the `with` block, or is deleted if the block
        raises.

    Raises:
        WriteError: The folder cannot be written, or is not empty.
    """
    make_folder(path.parent)
    with writing(path), _temporary(path) as part:
        part.mkdir()
        try:
            yield part
        except WriteError as error:  # of a file in it, whose path means nothing to the user
            raise WriteError(str(error).replace(str(part), str(path))) from error
        for content in (*part.rglob("*"), part):
            _flush(content)
        os.replace(part, path)
        _flush(path.parent)


def atomic_symlink(path: Path, target: Path) -> None:
    """Replaces or creates a symbolic link atomically. It is not flushed to disk, so a power cut may lose it.

    Args:
        path: Link to replace or create.
        target: Path that it points to.

    Raises:
        WriteError: The link cannot be written.
    """
    with writing(path), _temporary(path) as part:
        part.symlink_to(target)
        os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, replacing it atomically.

    Args:
        path: File to write, in an existing folder.
        text: Its content.

    Raises:
        WriteError: It cannot be written; the old file is then unchanged.
    """
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def require_writable(path: Path) -> None:
    """Checks that a file can be written, before the work on its content.

    Args:
        path: File to write.

    Raises:
        WriteError: It cannot: it is a folder, or its folder is missing or read-only.
    """
    if path.is_dir():
        raise WriteError(f"{path}: cannot be written: it is a folder; name a file")
    if not path.parent.is_dir():
        raise WriteError(f"{path}: cannot be written: {path.parent}: no such folder")
    with writing(path), _temporary(path) as part:
        part.touch()


def remove_abandoned(folder: Path) -> None:
    """Removes temporary files and folders that killed processes left in a folder.

    Args:
        folder: The folder; it may be missing.
    """
    state = folder / STATE
    if state.is_symlink() or not state.is_dir():
        return
    for record in [path for path in state.iterdir() if _RECORD.fullmatch(path.name)]:
        with suppress(OSError, WriteError):  # its owner has removed it, or it is not ours
            lock = take_lock(record)
            if lock is None:
                continue
            if record.suffix == ".lock":
                shutil.rmtree(record.with_suffix(""), ignore_errors=True)
            release(record, lock)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yields a temporary path on record for a file or folder, and removes what is left there at the end."""
    if not path.parent.is_dir():  # which is the caller's to create
        raise WriteError(f"{path}: cannot be written: {path.parent}: no such folder")
    remove_abandoned(path.parent)
    lock = None
    while lock is None:
        record = path.parent / STATE / f"{secrets.token_hex(8)}.lock"
        lock = create_lock(record)  # None if another process looks at it just now
    folder = record.with_suffix("")
    try:
        folder.mkdir()
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        release(record, lock)


def _flush(path: Path) -> None:
    """Flushes a file's contents or a folder's entries to disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
