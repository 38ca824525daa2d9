"""Runs commands as users do, and checks that they do not hang or leave processes behind."""

import io
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Self
from unittest.mock import patch

import pytest

from avsa_fast.command import run_command

ENDING = 10.0  # max seconds for a command to end after a signal or an error
# Max seconds for the processes that a command started to end after it. A worker whose owner is killed during its start
# first imports what it needs, as long as that takes on a busy machine.
LEAVING = 30.0


def module(name: str) -> tuple[str, ...]:
    """Returns the start of a command line that runs a module of the package."""
    return sys.executable, "-m", f"avsa_fast.{name}"


def run(
    *line: object, check: bool = False, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdin: str = "",
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Runs a command to its end; fails the test if it leaves a process, or with `check` if its code is not 0."""
    with Command(*line, cwd=cwd, env=env, stdin=stdin) as command:
        done = command.finish()
    if check and done.returncode:
        pytest.fail(f"code {done.returncode}: {command.text}\n{done.stdout}\n{done.stderr}")
    return done


def invoke(main: Callable[..., None], name: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command in this process, which has imported already what the command needs."""
    line = [name, *map(str, words)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with patch("sys.argv", line), redirect_stdout(out), redirect_stderr(err):
        try:
            run_command(main, name)
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())


class Command:
    """A command in its own session; a context manager that kills the whole session at its end.

    If an exception leaves the context while the command runs, such as the test's timeout, its output and stacks are
    printed.
    """

    def __init__(
        self, *line: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> None:
        words = [str(word) for word in line]
        self.text = " ".join(words)
        self._in, self._out, self._err = (tempfile.TemporaryFile("w+") for _ in range(3))  # noqa: SIM115
        self._in.write(stdin)
        self._in.seek(0)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            words, stdin=self._in, stdout=self._out, stderr=self._err, cwd=cwd, start_new_session=True,
            env={**(os.environ if env is None else env), "PYTHONFAULTHANDLER": "1"},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None and self.alive():
            self._show()
        for pid in self.alive():
            _signal(pid, signal.SIGKILL)
        self.process.wait()

    def finish(self) -> subprocess.CompletedProcess[str]:
        """Waits for the end and returns the output; fails if the command leaves a process."""
        code = self.process.wait()
        deadline = time.monotonic() + LEAVING
        while left := self.alive():
            assert time.monotonic() < deadline, f"left by {self.text}: {left}"
            time.sleep(0.02)
        return subprocess.CompletedProcess(self.text, code, self.stdout(), self.stderr())

    def assert_ended_since(self, moment: float) -> None:
        """Fails if ending took longer than ENDING, or, on a busy machine, than starting did."""
        took = time.monotonic() - moment
        print(f"ended in {took:.1f} s, started in {moment - self.began:.1f} s")
        assert took < max(ENDING, moment - self.began)

    def stdout(self) -> str:
        """Returns what has been printed so far."""
        return _content(self._out.fileno())

    def stderr(self) -> str:
        return _content(self._err.fileno())

    def alive(self) -> list[int]:
        """Returns the running processes of the session, without zombies."""
        processes = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:  # the process has ended
                continue
            if int(session) == self.process.pid and state not in "ZX":
                processes.append(int(folder.name))
        return processes

    def _show(self) -> None:
        """Aborts the command so that it prints its stacks, and prints its output."""
        for pid in self.alive():
            with suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
            _signal(pid, signal.SIGABRT)
            _signal(pid, signal.SIGCONT)
        time.sleep(1.0)
        print(f"{self.text}\n{self.stdout()}\n{self.stderr()}")


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _content(file: int) -> str:
    return os.pread(file, 1 << 24, 0).decode(errors="replace")
