"""Preparation of clips in worker processes with limits on memory and time, so that no file can end a whole run."""

import os
import resource
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from avsa_fast.detect.sphere import SphereDetector
from avsa_fast.errors import UserError
from avsa_fast.processes import PATIENCE, end, serve, starting

from .clip import Result, failed, prepare_clip
from .find import Job
from .options import PrepareOptions

MEMORY = 2 << 30  # limit on a process's data segment, bytes
LEAST = 1 << 30  # min memory available to a clip, whatever the process already holds, bytes
START = 600.0  # seconds for a process to start, including the download of detector weights
SILENCE = 120.0  # seconds without a sign of progress before a clip is abandoned
LONGEST, LONGEST_A_MEGABYTE = 3600.0, 60.0  # max seconds per clip, plus seconds per megabyte of video
ATTEMPTS = 2  # per clip whose process dies, because the clip may not be the cause

_spawn = get_context("spawn")


class Setup(NamedTuple):
    """Settings that all workers of a run share."""

    options: PrepareOptions
    target: Path
    threads: int


class Fatal(NamedTuple):
    """An error that ends the whole run, such as a missing detector or a full disk."""

    message: str


class Worker:
    """Handle of a process that prepares one clip at a time, and is restarted if it dies or exceeds a limit."""

    connection: Connection
    _ready: bool

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.job: Job | None = None
        self._start()

    def submit(self, job: Job) -> None:
        """Sends a clip to the process, which must be idle."""
        self.job, self._attempt = job, 1
        size = job.video.stat().st_size if job.video and job.video.exists() else 0
        self._longest = LONGEST + LONGEST_A_MEGABYTE * size / 1e6
        self._send()

    def result(self) -> Result | None:
        """Returns the job's result if it is complete or has failed, else None; does not block.

        Raises:
            UserError: If the whole run cannot continue.
        """
        assert self.job is not None
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, Fatal):
                    raise UserError(message.message)
                if isinstance(message, Result):
                    return self._done(message)
                if not self._ready:
                    self._ready, self._busy = True, 0.0
                self._silent = 0.0
        except (EOFError, OSError):
            return self._died()
        if not self._ready:
            if self._busy > START:
                raise UserError(f"a process that prepares clips is not ready after {START:.0f} s")
            return None
        why = None
        if self._silent > SILENCE:
            why = f"no sign of progress for {SILENCE:.0f} s"
        elif self._busy > self._longest:
            why = f"not done after {self._longest:.0f} s"
        if why is None:
            return None
        self._restart()
        return self._done(failed(self.job, "costly", f"{self.job.video}: {why}"))

    def passed(self, seconds: float) -> None:
        """Adds elapsed time, in seconds, to the time that the job and its silence have taken."""
        self._silent += seconds
        self._busy += seconds

    def _start(self) -> None:
        self._ready = False
        self.connection, child = _spawn.Pipe()
        self.process = _spawn.Process(target=_serve, args=(os.getpid(), child, self._setup), daemon=True)
        resource_tracker.ensure_running()  # otherwise the first start launches it and unblocks SIGINT
        with starting():
            self.process.start()
        child.close()

    def _restart(self) -> None:
        close([self])
        self._start()

    def _send(self) -> None:
        self._silent = self._busy = 0.0
        with suppress(OSError):  # the process has died; result() detects it
            self.connection.send(self.job)

    def _done(self, result: Result) -> Result:
        self.job = None
        return result

    def _died(self) -> Result | None:
        assert self.job is not None
        self.process.join(PATIENCE)
        code = self.process.exitcode
        if not self._ready:
            raise UserError(f"a process that prepares clips cannot start (exit code {code})")
        self._restart()
        if self._attempt < ATTEMPTS:
            self._attempt += 1
            self._send()
            return None
        return self._done(failed(self.job, "unreadable", f"{self.job.video}: ends the process that reads it ({code})"))


def close(pool: Sequence[Worker]) -> None:
    """Ends workers in parallel, and closes their connections."""
    end([worker.process for worker in pool])
    for worker in pool:
        worker.connection.close()


def run_local(jobs: Sequence[Job], setup: Setup, workers: int) -> Generator[Result, None, None]:
    """Prepares clips in a new pool of `workers` processes; yields results in order of completion."""
    pool: list[Worker] = []
    try:
        for _ in range(min(workers, len(jobs))):
            pool.append(Worker(setup))
        yield from work(jobs, pool)
    finally:
        close(pool)


def work(jobs: Sequence[Job], pool: Sequence[Worker]) -> Iterator[Result]:
    """Prepares clips in an existing pool of idle workers; yields results in order of completion."""
    left = deque(jobs)
    before = time.monotonic()
    while left or any(worker.job for worker in pool):
        for worker in pool:
            if worker.job is None and left:
                worker.submit(left.popleft())
        busy = [worker for worker in pool if worker.job]
        wait([worker.connection for worker in busy], timeout=1.0)
        now = time.monotonic()
        awake, before = min(now - before, 2.0), now  # time in which the machine was suspended does not count
        for worker in busy:
            worker.passed(awake)
            result = worker.result()
            if result is not None:
                yield result


def _serve(owner: int, connection: Connection, setup: Setup) -> None:
    """Main function of a worker process."""
    import torch

    serve(owner)
    torch.set_num_threads(setup.threads)
    with suppress(EOFError, OSError):
        try:
            detector = setup.options.make_detector()
        except UserError as error:
            connection.send(Fatal(str(error)))
            return
        _bound_memory()
        connection.send(None)
        while True:
            connection.send(_prepare(connection.recv(), setup, detector, lambda: connection.send(None)))


def _prepare(job: Job, setup: Setup, detector: SphereDetector | None, alive: Callable[[], None]) -> Result | Fatal:
    try:
        return prepare_clip(job, setup.options, detector, setup.target, alive)
    except MemoryError:
        pass
    except OSError as error:
        return Fatal(f"{setup.target}: cannot be written: {error.strerror or error}")
    except RuntimeError as error:
        if "memory" not in str(error).lower():
            return failed(job, "unreadable", f"{job.video}: {type(error).__name__}: {error}")
    except Exception as error:  # libraries raise anything for malformed files, which must not end the run
        return failed(job, "unreadable", f"{job.video}: {type(error).__name__}: {error}")
    return failed(job, "costly", f"{job.video}: takes more than {LEAST / 2**30:g} GB of memory")


def _bound_memory() -> None:
    """Limits this process's memory, unless there is a GPU: CUDA reserves address space that it does not use."""
    import torch

    if torch.cuda.is_available():
        return
    held = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line).split()[1])
    limit = max(MEMORY, (held << 10) + LEAST)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
