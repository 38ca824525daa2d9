"""Locks, so that what a command writes has one owner.

The kernel releases a lock when its process ends, even if it is killed.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from avsa_fast.errors import UserError
from avsa_fast.writing import open_regular, refuse_link, writing

STATE = ".avsa_fast"  # subfolder for temporary files and locks, of a folder that is written to
PATIENCE = 0.5  # seconds to wait for a lock that is only looked at, or whose killed owner is ending
INTERVAL = 0.05  # seconds between two looks at a lock


def owner_file(path: Path) -> Path:
    """Returns the lock file of a path that is written, in the state folder beside the path.

    Args:
        path: File or folder.
    """
    return path.parent / STATE / f"{path.name}.owner"


def run_lock(run: Path) -> AbstractContextManager[None]:
    """Returns a context manager that makes this process the only one that writes to the folder of a run.

    Args:
        run: Folder of the run; created if it is missing.

    Raises:
        UserError: As for `owner_lock`, in the context.
    """
    return owner_lock(run / STATE / "run.owner", run)


@contextmanager
def owner_lock(path: Path, subject: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Context manager that makes this process the only one that writes to a file or folder.

    Args:
        path: Lock file, in a folder of ours in an existing folder; it is removed at the end.
        subject: What is written, which messages name.
        waiting: If given, it is called with a message if another process is the owner, and then that process' end is
            waited for.

    Raises:
        UserError: Another process is the owner; the message names it.
        WriteError: The lock file cannot be written; the message names `subject`.
    """
    descriptor, began, told = None, time.monotonic(), False
    while True:
        with writing(subject):
            descriptor = create_lock(path)
        if descriptor is not None:
            break
        if time.monotonic() - began > PATIENCE:
            message = f"{subject}: process {_owner(path)} is writing it"
            if waiting is None:
                raise UserError(f"{message}; wait until it ends")
            if not told:
                waiting(f"{message}; waiting until it ends")
                told = True
        time.sleep(INTERVAL)
    try:
        with writing(subject):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        release(path, descriptor)


def create_lock(path: Path) -> int | None:
    """Creates a lock file, and its folder if it is missing, and locks it.

    Args:
        path: Lock file.

    Returns:
        Its descriptor; None if another process has locked it.

    Raises:
        WriteError: It or its folder is a link.
        OSError: It cannot be written.
    """
    while True:
        refuse_link(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process has just removed the empty folder
            return take_lock(path, os.O_CREAT)


def take_lock(path: Path, flags: int = 0) -> int | None:
    """Locks a lock file.

    Args:
        path: Lock file.
        flags: O_CREAT to create the file if it is missing.

    Returns:
        Its descriptor; None if another process has locked it.

    Raises:
        WriteError: It is no regular file.
        OSError: It is missing, or cannot be opened or locked.
    """
    while True:
        descriptor = open_regular(path, os.O_RDWR | flags)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)  # its owner removed it after it was opened here


def release(path: Path, descriptor: int) -> None:
    """Removes a lock file, and its folder if it is empty, and releases the lock.

    Args:
        path: Lock file.
        descriptor: Its descriptor.
    """
    with suppress(OSError):  # a disk that is gone or read-only keeps the file, which then is unlocked
        path.unlink()
        path.parent.rmdir()
    os.close(descriptor)


def _owner(path: Path) -> str:
    """The process id in a lock file."""
    with suppress(OSError, UserError):
        descriptor = open_regular(path, os.O_RDONLY)
        try:
            text = os.read(descriptor, 20).decode(errors="replace")
        finally:
            os.close(descriptor)
        return text if text.isdecimal() else "of another user"
    return "of another user"
