"""Work on untrusted files in worker processes with limits on memory and time, so that no file can end a command."""

import os
import resource
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from avsa_fast.errors import UserError
from avsa_fast.processes import PATIENCE, end, serve, starting
from avsa_fast.writing import WriteError

MAX_MEMORY = 2 << 30  # limit on a process's data segment, bytes
MIN_JOB_MEMORY = 1 << 30  # memory available to a job, whatever the process already holds, bytes
START_TIMEOUT = 600.0  # seconds, including the download of detector weights
PROGRESS_TIMEOUT = 120.0  # seconds without a sign of progress before a job is abandoned
MAX_SECONDS, MAX_SECONDS_PER_MEGABYTE = 3600.0, 60.0  # per job, plus per megabyte of its file
ATTEMPTS = 2  # per job whose process dies, because the job may not be the cause

_spawn = get_context("spawn")

J = TypeVar("J")
R = TypeVar("R")
Request = TypeVar("Request", contravariant=True)
Answer = TypeVar("Answer", covariant=True)
Work = Callable[[J, Callable[[], None]], R]  # from a job and a function to call regularly, to the job's result


class Task(Protocol[Request, Answer]):
    """What worker processes do with jobs; it is pickled, as are the jobs and their results."""

    def start(self) -> Callable[[Request, Callable[[], None]], Answer]:
        """Called once in each process; returns the function that does a job. Raises UserError to end the whole run."""

    def path(self, job: Request, /) -> Path | None:
        """Returns the file of a job that costs most."""

    def failed(self, job: Request, state: str, reason: str, /) -> Answer:
        """Returns the result of a job that failed."""


class Fatal(NamedTuple):
    """An error that ends the whole run, such as a missing detector or a full disk; `message` names it."""

    message: str


class Done(NamedTuple, Generic[R]):
    """The result of a job."""

    result: R


class Worker(Generic[J, R]):
    """Handle of a process that does one job at a time, and is restarted if it dies or exceeds a limit."""

    connection: Connection
    _ready: bool

    def __init__(self, task: Task[J, R]) -> None:
        """Starts the process.

        Args:
            task: What to do with jobs.
        """
        self._task = task
        self.job: J | None = None
        self._start()

    def submit(self, job: J) -> None:
        """Sends a job to the process.

        Args:
            job: The job; the process must be idle.
        """
        self.job, self._attempt, path = job, 1, self._task.path(job)
        size = path.stat().st_size if path and path.exists() else 0
        self._max_seconds = MAX_SECONDS + MAX_SECONDS_PER_MEGABYTE * size / 1e6
        self._send()

    def result(self) -> Done[R] | None:
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
                if isinstance(message, Done):
                    return self._done(message.result)
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
        return self._done(self._task.failed(self.job, "costly", f"{self._task.path(self.job)}: {reason}"))

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
        self.process = _spawn.Process(target=_serve, args=(os.getpid(), child, self._task), daemon=True)
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

    def _done(self, result: R) -> Done[R]:
        self.job = None
        return Done(result)

    def _died(self) -> Done[R] | None:
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
        reason = f"{self._task.path(self.job)}: crashes the process that reads it (exit code {code})"
        return self._done(self._task.failed(self.job, "unreadable", reason))


def close(pool: Sequence[Worker[J, R]]) -> None:
    """Ends workers in parallel, and closes their connections."""
    end([worker.process for worker in pool])
    for worker in pool:
        worker.connection.close()


def run_isolated(jobs: Sequence[J], task: Task[J, R], workers: int) -> Generator[R, None, None]:
    """Does jobs in new worker processes.

    Args:
        jobs: The jobs.
        task: What to do with them.
        workers: Maximum number of processes.

    Yields:
        Results, in order of completion; with one worker, in the order of the jobs.

    Raises:
        UserError: The whole run cannot continue.
    """
    pool: list[Worker[J, R]] = []
    try:
        for _ in range(min(workers, len(jobs))):
            pool.append(Worker(task))
        yield from work(jobs, pool)
    finally:
        close(pool)


def work(jobs: Sequence[J], pool: Sequence[Worker[J, R]]) -> Iterator[R]:
    """Does jobs in an existing pool of idle workers.

    Args:
        jobs: The jobs.
        pool: Workers.

    Yields:
        Results, in order of completion.

    Raises:
        UserError: The whole run cannot continue.
    """
    left = deque(jobs)
    before = time.monotonic()
    while left or any(worker.job is not None for worker in pool):
        for worker in pool:
            if worker.job is None and left:
                worker.submit(left.popleft())
        at_work = [worker for worker in pool if worker.job is not None]
        wait([worker.connection for worker in at_work], timeout=1.0)
        now = time.monotonic()
        elapsed, before = min(now - before, 2.0), now  # time in which the machine was suspended does not count
        for worker in at_work:
            worker.add_elapsed(elapsed)
            done = worker.result()
            if done is not None:
                yield done.result


def _serve(owner: int, connection: Connection, task: Task[J, R]) -> None:
    """Main function of a worker process."""
    serve(owner)
    with suppress(EOFError, OSError):
        try:
            do = task.start()
        except UserError as error:
            connection.send(Fatal(str(error)))
            return
        _limit_memory()
        connection.send(None)
        while True:
            connection.send(_do(connection.recv(), task, do, lambda: connection.send(None)))


def _do(job: J, task: Task[J, R], do: Work[J, R], heartbeat: Callable[[], None]) -> Done[R] | Fatal:
    """Does a job; libraries raise anything for malformed files, which must not end the run."""
    path = task.path(job)
    try:
        return Done(do(job, heartbeat))
    except WriteError as error:
        return Fatal(str(error))
    except MemoryError:
        pass
    except RuntimeError as error:
        if "memory" not in str(error).lower():
            return Done(task.failed(job, "unreadable", f"{path}: {type(error).__name__}: {error}"))
    except Exception as error:
        return Done(task.failed(job, "unreadable", f"{path}: {type(error).__name__}: {error}"))
    return Done(task.failed(job, "costly", f"{path}: needs more than {MIN_JOB_MEMORY / 2**30:g} GB of memory"))


def _limit_memory() -> None:
    """Limits this process's memory, unless there is a GPU: CUDA reserves address space that it does not use."""
    import torch

    if torch.cuda.is_available():
        return
    held = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line).split()[1])
    limit = max(MAX_MEMORY, (held << 10) + MIN_JOB_MEMORY)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
