"""Loading of batches of samples, prefetched by worker processes."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Self, TypeVar

from torch.utils.data import DataLoader

from avsa_fast.errors import UserError
from avsa_fast.processes import PATIENCE, end, kill, serve, starting

from .samples import Sample, Samples, Unreadable

TIMEOUT = 300.0  # maximum seconds to wait for a batch

T = TypeVar("T")


class LoaderError(UserError):
    """Decoding failed: a worker process died, or none makes progress."""


class Loader(Iterator[T], Generic[T]):
    """Iterator over batches of samples, in order.

    It is a context manager: the worker processes start when the context is entered and end when it is left.
    """

    def __init__(
        self, samples: Samples, batches: Sequence[Sequence[int]], collate: Callable[[list[Sample | Unreadable]], T],
        workers: int, *, prefetch: int, pin_memory: bool = False,
    ) -> None:  # fmt: skip
        """Configures the loader; entering the context starts the workers.

        Args:
            samples: Dataset to read.
            batches: Sample numbers of each batch.
            collate: Combines samples into a batch, in the process that decoded them.
            workers: Number of worker processes; 0 decodes in this process, on request.
            prefetch: Number of batches to prefetch, over all workers.
            pin_memory: Whether to copy batches to pinned memory, for fast transfers to a GPU.
        """
        self._loader: DataLoader[Any] = DataLoader(
            samples, batch_sampler=[list(batch) for batch in batches], collate_fn=collate, num_workers=workers,
            pin_memory=pin_memory,
            prefetch_factor=max(1, ceil(prefetch / workers)) if workers else None,
            worker_init_fn=partial(_serve, os.getpid()),
        )  # fmt: skip
        self._processes: set[BaseProcess] = set()
        self._received, self._waiting, self._stuck = 0, False, False
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        with starting() as self._processes, _handler_restored(signal.SIGCHLD):
            self._batches = iter(self._loader)
        if self._processes:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if not self._processes:
            return
        # During shutdown, torch waits for each worker in turn and for its pinning thread, which may wait for a worker.
        killer = threading.Timer(PATIENCE, kill, [self._processes])
        killer.daemon = True
        killer.start()
        try:
            # An exception's traceback may keep the iterator alive, so garbage collection would not stop the workers.
            # torch has no public method for this.
            self._batches._shutdown_workers()  # type: ignore[attr-defined]
        finally:
            killer.cancel()
            end(self._processes)

    def __next__(self) -> T:
        """Returns the next batch. Raises LoaderError if a worker died or no batch arrived for TIMEOUT seconds."""
        self._waiting = True
        try:
            batch: T = next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            wait([process.sentinel for process in self._processes], timeout=0.5)  # one may be about to exit
            codes = [process.exitcode for process in self._processes if process.exitcode is not None]
            if self._stuck:
                raise LoaderError(
                    f"no sample was decoded in {TIMEOUT:.0f} s; the disk or network share of the media may be stalled"
                ) from error
            if codes:
                raise LoaderError(
                    f"a decoding worker died ({_reason(codes[0])}); too little memory? Fewer --workers need less"
                ) from error
            raise
        finally:
            self._waiting = False
        self._received += 1
        return batch

    def _watch(self) -> None:
        """Kills the workers if no batch arrives for TIMEOUT seconds, which unblocks the waiting thread."""
        waited, received, before = 0.0, 0, time.monotonic()
        while not self._closed.wait(1.0):
            now = time.monotonic()
            elapsed, before = min(now - before, 2.0), now  # time in which the machine was suspended does not count
            waited = waited + elapsed if self._waiting and received == self._received else 0.0
            received = self._received
            if waited > TIMEOUT:
                self._stuck = True
                kill(self._processes)
                return


def _serve(owner: int, worker: int) -> None:
    """Worker initialisation: `serve` with the signature that DataLoader calls."""
    serve(owner)


@contextmanager
def _handler_restored(number: signal.Signals) -> Iterator[None]:
    """Restores a signal handler that torch replaces by its own, which raises at any point in the main thread."""
    handler = signal.getsignal(number)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(number, handler or signal.SIG_DFL)


def _reason(code: int) -> str:
    """Signal name or exit code of a process that ended."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
