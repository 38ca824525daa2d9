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

MAX_MEMORY = 2 << 30  # limit on a process's data segment, bytes
MIN_CLIP_MEMORY = 1 << 30  # memory available to a clip, whatever the process already holds, bytes
START_TIMEOUT = 600.0  # seconds, including the download of detector weights
PROGRESS_TIMEOUT = 120.0  # seconds without a sign of progress before a clip is abandoned
MAX_SECONDS, MAX_SECONDS_PER_MEGABYTE = 3600.0, 60.0  # per clip, plus per megabyte of video
ATTEMPTS = 2  # per clip whose process dies, because the clip may not be the cause

_spawn = get_context("spawn")


class Setup(NamedTuple):
    """Settings that all workers of a run share.

    Attributes:
        options: How clips are prepared.
        target: Dataset folder that transcoded files are written to.
        threads: Number of torch's threads per worker.
    """

    options: PrepareOptions
    target: Path
    threads: int


class Fatal(NamedTuple):
    """An error that ends the whole run, such as a missing detector or a full disk; `message` names it."""

    message: str


class Worker:
    """Handle of a process that prepares one clip at a time, and is restarted if it dies or exceeds a limit."""

    connection: Connection
    _ready: bool

    def __init__(self, setup: Setup) -> None:
        """Starts the process.

        Args:
            setup: Settings of the run.
        """
        self._setup = setup
        self.job: Job | None = None
        self._start()

    def submit(self, job: Job) -> None:
        """Sends a clip to the process.

        Args:
            job: Clip to prepare; the process must be idle.
        """
        self.job, self._attempt = job, 1
        size = job.video.stat().st_size if job.video and job.video.exists() else 0
        self._max_seconds = MAX_SECONDS + MAX_SECONDS_PER_MEGABYTE * size / 1e6
        self._send()

    def result(self) -> Result | None:
        """Returns the job's result if it is complete or has failed, else None; does not block.

        Raises:
            UserError: The whole run cannot continue.
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
                    self._ready, self._elapsed = True, 0.0
                self._without_progress = 0.0
        except (EOFError, OSError):
            return self._died()
        if not self._ready:
            if self._elapsed > START_TIMEOUT:
                raise UserError(f"a worker process is not ready after {START_TIMEOUT:.0f} s")
            return None
        reason = None
        if self._without_progress > PROGRESS_TIMEOUT:
            reason = f"no sign of progress for {PROGRESS_TIMEOUT:.0f} s"
        elif self._elapsed > self._max_seconds:
            reason = f"not done after {self._max_seconds:.0f} s"
        if reason is None:
            return None
        self._restart()
        return self._done(failed(self.job, "costly", f"{self.job.video}: {reason}"))

    def add_elapsed(self, seconds: float) -> None:
        """Adds elapsed time to the job's duration and to the time since its last sign of progress.

        Args:
            seconds: Elapsed time.
        """
        self._without_progress += seconds
        self._elapsed += seconds

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
        self._without_progress = self._elapsed = 0.0
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
            raise UserError(f"a worker process cannot start (exit code {code})")
        self._restart()
        if self._attempt < ATTEMPTS:
            self._attempt += 1
            self._send()
            return None
        return self._done(
            failed(self.job, "unreadable", f"{self.job.video}: crashes the process that reads it (exit code {code})")
        )


def close(pool: Sequence[Worker]) -> None:
    """Ends workers in parallel, and closes their connections."""
    end([worker.process for worker in pool])
    for worker in pool:
        worker.connection.close()


def run_local(jobs: Sequence[Job], setup: Setup, workers: int) -> Generator[Result, None, None]:
    """Prepares clips in new worker processes.

    Args:
        jobs: Clips to prepare.
        setup: Settings of the run.
        workers: Maximum number of processes.

    Yields:
        Results, in order of completion.

    Raises:
        UserError: The whole run cannot continue.
    """
    pool: list[Worker] = []
    try:
        for _ in range(min(workers, len(jobs))):
            pool.append(Worker(setup))
        yield from work(jobs, pool)
    finally:
        close(pool)


def work(jobs: Sequence[Job], pool: Sequence[Worker]) -> Iterator[Result]:
    """Prepares clips in an existing pool of idle workers.

    Args:
        jobs: Clips to prepare.
        pool: Workers.

    Yields:
        Results, in order of completion.

    Raises:
        UserError: The whole run cannot continue.
    """
    left = deque(jobs)
    before = time.monotonic()
    while left or any(worker.job for worker in pool):
        for worker in pool:
            if worker.job is None and left:
                worker.submit(left.popleft())
        at_work = [worker for worker in pool if worker.job]
        wait([worker.connection for worker in at_work], timeout=1.0)
        now = time.monotonic()
        elapsed, before = min(now - before, 2.0), now  # time in which the machine was suspended does not count
        for worker in at_work:
            worker.add_elapsed(elapsed)
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
        _limit_memory()
        connection.send(None)
        while True:
            connection.send(_prepare(connection.recv(), setup, detector, lambda: connection.send(None)))


def _prepare(job: Job, setup: Setup, detector: SphereDetector | None, heartbeat: Callable[[], None]) -> Result | Fatal:
    try:
        return prepare_clip(job, setup.options, detector, setup.target, heartbeat)
    except MemoryError:
        pass
    except OSError as error:
        return Fatal(f"{setup.target}: cannot be written: {error.strerror or error}")
    except RuntimeError as error:
        if "memory" not in str(error).lower():
            return failed(job, "unreadable", f"{job.video}: {type(error).__name__}: {error}")
    except Exception as error:  # libraries raise anything for malformed files, which must not end the run
        return failed(job, "unreadable", f"{job.video}: {type(error).__name__}: {error}")
    return failed(job, "costly", f"{job.video}: needs more than {MIN_CLIP_MEMORY / 2**30:g} GB of memory")


def _limit_memory() -> None:
    """Limits this process's memory, unless there is a GPU: CUDA reserves address space that it does not use."""
    import torch

    if torch.cuda.is_available():
        return
    held = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line).split()[1])
    limit = max(MAX_MEMORY, (held << 10) + MIN_CLIP_MEMORY)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
