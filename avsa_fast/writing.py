"""Errors of writing, which name the path, and opening of files that a received folder may have replaced by links."""

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avsa_fast.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
_RUST = re.compile(r"\(os error (\d+)\)")  # how libraries in Rust state the number of a system error


class WriteError(UserError):
    """A file or folder cannot be written, which ends the command: it is no fault of what is read."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Context manager that turns errors of the system into a WriteError.

    Args:
        path: File or folder that is written in the context, which the message names.

    Raises:
        WriteError: The context raised an OSError, or another error that an OSError caused.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = _system_error(error)
        if cause is None:
            raise
        text = os.strerror(cause.errno) if cause.errno else str(cause)
        remedy = "; what was complete is kept: free some space and run again" if cause.errno in FULL else ""
        raise WriteError(f"{path}: cannot be written: {text}{remedy}") from error


def _system_error(error: BaseException | None) -> OSError | None:
    """The OSError among an error and its causes."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        if found := _RUST.search(str(error)):
            return OSError(int(found[1]), os.strerror(int(found[1])))
        error = error.__cause__ or error.__context__
    return None


def make_folder(path: Path) -> Path:
    """Creates a folder, and those above it, if they are missing.

    Args:
        path: The folder.

    Returns:
        `path`.

    Raises:
        WriteError: It cannot be created.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def make_subfolder(folder: Path, *names: str) -> Path:
    """Creates a folder within one that may have been received from elsewhere, and refuses links out of it.

    Args:
        folder: The folder that the user named; it may be a link.
        *names: Names of the folders below it, each within the one before.

    Returns:
        The last folder.

    Raises:
        WriteError: It cannot be created, or one of `names` is a link.
    """
    make_folder(folder)
    for name in names:
        folder = folder / name
        refuse_link(folder)
        make_folder(folder)
    return folder


def refuse_link(folder: Path) -> None:
    """Raises WriteError if a folder is a link.

    Args:
        folder: The folder; it may be missing.
    """
    if folder.is_symlink():
        raise WriteError(f"{folder}: is a link, through which nothing is written; replace it by a folder")


def open_regular(path: Path, flags: int) -> int:
    """Opens a regular file, but no link, pipe or device, which a received folder may hold in its place.

    Args:
        path: File to open.
        flags: As for `os.open`; with O_CREAT, the file is created if it is missing.

    Returns:
        The descriptor.

    Raises:
        WriteError: It is not a regular file.
        OSError: It is missing or cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise WriteError(f"{path}: is a link, which is not followed; remove it") from error
        if error.errno == errno.ENXIO:  # a pipe that nobody reads
            raise WriteError(f"{path}: is not a regular file; remove it") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise WriteError(f"{path}: is not a regular file; remove it")
    return descriptor


@contextmanager
def library_file(path: Path) -> Iterator[io.FileIO]:
    """Context manager that creates a file for a library which loses or disguises errors of writing.

    Args:
        path: File to write.

    Yields:
        The file. Its first error is raised at the end of the context, in place of what the library made of it.

    Raises:
        OSError: It cannot be written.
    """
    with _File(path, "w+") as file:
        try:
            yield file
        except Exception:
            if file.error is None:
                raise
        if file.error is not None:
            raise file.error


class _File(io.FileIO):
    """File that keeps its first error for later."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) or 0 :]
        except OSError as error:
            self.error = error
        return size


class Lines:
    """Append-only file, each of whose lines is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file.

        Args:
            path: The file; no link.

        Raises:
            WriteError: It cannot be opened.
        """
        self._path = path
        with writing(path):
            self._descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._end = os.fstat(self._descriptor).st_size

    def append(self, line: bytes) -> None:
        """Adds a line.

        Args:
            line: The line, with its end.

        Raises:
            WriteError: It cannot be written; the file is then unchanged.
        """
        with writing(self._path):
            try:
                rest = line
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:
                os.ftruncate(self._descriptor, self._end)
                raise
        self._end += len(line)

    def truncate(self, size: int) -> None:
        """Shortens the file.

        Args:
            size: Bytes to keep.
        """
        with writing(self._path):
            os.ftruncate(self._descriptor, size)
        self._end = size

    def close(self) -> None:
        """Flushes the file to disk and closes it."""
        with writing(self._path):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
