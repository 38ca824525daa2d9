"""Worker processes that end with their owner: on request, when it exits and when it is killed."""

import atexit
import ctypes
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from time import monotonic

PATIENCE = 2.0  # seconds to wait for a process to end, after SIGTERM and again after SIGKILL
PR_SET_PDEATHSIG = 1  # prctl(2) option: signal that a process gets when the thread that started it ends

_prctl = ctypes.CDLL(None).prctl
_owned: set[BaseProcess] = set()
os.register_at_fork(after_in_child=_owned.clear)


def serve(owner: int) -> None:
    """Makes this process a worker: it ends on SIGTERM and is killed when its owner ends.

    It ignores SIGINT: Ctrl-C reaches every process of a terminal's job, but the owner decides when its workers end.

    Args:
        owner: Process id of the owner.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:  # the owner ended before the call of prctl
        os._exit(1)


@contextmanager
def starting() -> Iterator[set[BaseProcess]]:
    """Context in which worker processes are started; each of them must call `serve`.

    Workers that `end` has not ended before are ended when the interpreter exits. Ctrl-C does not reach them, even
    before they call `serve`.

    Yields:
        A set that holds the processes once the context is left.
    """
    started: set[BaseProcess] = set()
    before = set(active_children())
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # new processes inherit the mask
    try:
        yield started
    finally:
        started |= set(active_children()) - before
        _owned.update(started)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end(processes: Collection[BaseProcess]) -> None:
    """Ends worker processes by SIGTERM; if any is still alive after PATIENCE seconds, by SIGKILL.

    Args:
        processes: Processes started in a context of `starting`.
    """
    for process in processes:
        process.terminate()
    if not _ended(processes):
        kill(processes)
        _ended(processes)
    _owned.difference_update(processes)


def kill(processes: Collection[BaseProcess]) -> None:
    """Sends SIGKILL to worker processes and returns immediately."""
    for process in processes:
        process.kill()


def _ended(processes: Collection[BaseProcess]) -> bool:
    """Waits until all processes have ended, at most PATIENCE seconds; returns whether they have."""
    deadline = monotonic() + PATIENCE
    while alive := [process for process in processes if process.is_alive()]:
        left = deadline - monotonic()
        if left <= 0:
            return False
        wait([process.sentinel for process in alive], timeout=left)
    return True


@atexit.register
def _end_all() -> None:
    """Ends the workers that are left when the interpreter exits."""
    end(_owned.copy())
