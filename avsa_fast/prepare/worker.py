"""Preparing clips in processes of their own, whose memory and time are bounded, so that no file can take a run down."""

import os
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from avsa_fast.errors import UserError

from .clip import Result, failed, prepare_clip
from .find import Job
from .options import Options

MEMORY = 2 << 30  # bytes that a process may hold in all
LEAST = 1 << 30  # bytes of them that a clip may take, whatever the process itself holds
SILENCE = 120.0  # seconds without a sign of life after which a clip is given up
LONGEST, LONGEST_A_MEGABYTE = 3600.0, 60.0  # seconds that a clip may take in all, and more for each megabyte of it
ATTEMPTS = 2  # at a clip whose process dies, which may not be the clip's fault

_spawn = get_context("spawn")


class Setup(NamedTuple):
    """What all workers of a run share."""

    options: Options
    target: Path
    threads: int


class Fatal(NamedTuple):
    """What ends the whole run: a detector that cannot be had, a full disk."""

    message: str


class Worker:
    """A process that prepares one clip at a time, and is replaced when it dies or has to be killed."""

    connection: Connection

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.job: Job | None = None
        self._start()

    def submit(self, job: Job) -> None:
        self.job, self._attempt = job, 1
        size = job.video.stat().st_size if job.video and job.video.exists() else 0
        self._longest = LONGEST + LONGEST_A_MEGABYTE * size / 1e6
        self._send()

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def result(self) -> Result | None:
        """The job's result, if there is one by now. Raises UserError where the run cannot go on."""
        assert self.job is not None
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, Fatal):
                    raise UserError(message.message)
                if isinstance(message, Result):
                    return self._done(message)
                self._ready, self._silent = True, 0.0
        except (EOFError, OSError):
            return self._died()
        why = None
        if self._silent > SILENCE:
            why = f"no sign of progress for {SILENCE:.0f} s"
        elif self._busy > self._longest:
            why = f"not done after {self._longest:.0f} s"
        if why is None:
            return None
        self.close()
        self._start()
        return self._done(failed(self.job, "costly", f"{self.job.video}: {why}"))

    def passed(self, seconds: float) -> None:
        """Counts time that this process was awake."""
        if self._ready:
            self._silent += seconds
            self._busy += seconds

    def _start(self) -> None:
        self._ready = False
        self.connection, child = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(child, self._setup), daemon=True)
        self._process.start()
        child.close()

    def _send(self) -> None:
        self._silent = self._busy = 0.0
        with suppress(OSError):  # of a process that has died meanwhile, which result() sees
            self.connection.send(self.job)

    def _done(self, result: Result) -> Result:
        self.job = None
        return result

    def _died(self) -> Result | None:
        assert self.job is not None
        self._process.join()
        code = self._process.exitcode
        if not self._ready:
            raise UserError(f"a process that prepares clips cannot start (exit code {code})")
        self.close()
        self._start()
        if self._attempt < ATTEMPTS:
            self._attempt += 1
            self._send()
            return None
        return self._done(failed(self.job, "unreadable", f"{self.job.video}: ends the process that reads it ({code})"))


def run_local(jobs: Sequence[Job], setup: Setup, workers: int) -> Iterator[Result]:
    """Results of the jobs, in the order that they are done, by a pool of workers."""
    pool = [Worker(setup) for _ in range(min(workers, len(jobs)))]
    try:
        yield from work(jobs, pool)
    finally:
        for worker in pool:
            worker.close()


def work(jobs: Sequence[Job], pool: Sequence[Worker]) -> Iterator[Result]:
    """Results of the jobs, in the order that they are done, by idle workers."""
    left = deque(jobs)
    before = time.monotonic()
    while left or any(worker.job for worker in pool):
        for worker in pool:
            if worker.job is None and left:
                worker.submit(left.popleft())
        busy = [worker for worker in pool if worker.job]
        wait([worker.connection for worker in busy], timeout=1.0)
        now = time.monotonic()
        awake, before = min(now - before, 2.0), now  # a machine that slept took no time
        for worker in busy:
            worker.passed(awake)
            result = worker.result()
            if result is not None:
                yield result


def _serve(connection: Connection, setup: Setup) -> None:
    """A worker's process."""
    import torch

    _die_with_parent()
    torch.set_num_threads(setup.threads)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            detector = setup.options.make_detector()
        except UserError as error:
            connection.send(Fatal(str(error)))
            return
        _bound_memory()
        connection.send(None)
        while True:
            connection.send(_prepare(connection.recv(), setup, lambda: detector, lambda: connection.send(None)))


def _prepare(job: Job, setup: Setup, detector: Callable[[], Any], alive: Callable[[], None]) -> Result | Fatal:
    try:
        return prepare_clip(job, setup.options, detector, setup.target, alive)
    except MemoryError:
        pass
    except OSError as error:
        return Fatal(f"{setup.target}: cannot be written: {error.strerror or error}")
    except RuntimeError as error:
        if "memory" not in str(error).lower():
            return failed(job, "unreadable", f"{job.video}: {type(error).__name__}: {error}")
    except Exception as error:  # of a library, about a file that nobody has seen before: not the end of the run
        return failed(job, "unreadable", f"{job.video}: {type(error).__name__}: {error}")
    return failed(job, "costly", f"{job.video}: takes more than {LEAST / 2**30:g} GB of memory")


def _bound_memory() -> None:
    """Limits what this process may allocate. CUDA reserves memory without using it, so not where there is a GPU."""
    import torch

    if torch.cuda.is_available():
        return
    held = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line).split()[1])
    limit = max(MEMORY, (held << 10) + LEAST)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _die_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
