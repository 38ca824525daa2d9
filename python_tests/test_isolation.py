"""Work in isolated processes: results in order, and jobs that crash, hang or fail cost only themselves."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avsa_fast import isolation
from avsa_fast.errors import UserError
from avsa_fast.isolation import Work, WriteError, run_isolated


class Squares:
    """Squares numbers; some jobs fail in the ways that files do."""

    def start(self) -> Work[int, str]:
        def square(job: int, heartbeat: Callable[[], None]) -> str:
            if job == 13:
                os.kill(os.getpid(), signal.SIGSEGV)
            if job == 14:
                time.sleep(60)
            if job == 15:
                raise ValueError("a malformed file")
            if job == 16:
                raise MemoryError
            if job == 17:
                raise WriteError("out: cannot be written: No space left on device")
            return str(job**2)

        return square

    def path(self, job: int) -> Path | None:
        return Path(f"{job}.mp4")

    def failed(self, job: int, state: str, reason: str) -> str:
        return f"{state}: {reason}"


class NeverStarts(Squares):
    """Cannot start, as without a detector."""

    def start(self) -> Work[int, str]:
        raise UserError("no detector")


def test_bad_jobs_cost_only_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "PROGRESS_TIMEOUT", 3.0)
    results = list(run_isolated([2, 13, 3, 14, 15, 16, 4], Squares(), 1))
    assert results == [
        "4",
        "unreadable: 13.mp4: crashes the process that reads it (exit code -11)",
        "9",
        "costly: 14.mp4: no sign of progress for 3 s",
        "unreadable: 15.mp4: ValueError: a malformed file",
        "costly: 16.mp4: needs more than 1 GB of memory",
        "16",
    ]


@pytest.mark.parametrize(
    ("task", "job", "message"), [(Squares(), 17, "No space left"), (NeverStarts(), 1, "no detector")]
)
def test_errors_that_end_the_run(task: Squares, job: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(run_isolated([job], task, 1))


def test_no_jobs_need_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "Worker", lambda task: pytest.fail("starts a process"))
    assert list(run_isolated([], Squares(), 4)) == []
