"""Worker processes end when their owner ends them, even if they hang, and when their owner ends."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from helpers.commands import Command, run

from avsa_fast.processes import end, serve, starting


def sleep(owner: int, ready: Path) -> None:
    serve(owner)
    ready.touch()
    time.sleep(3600)


def ignore_sigterm(owner: int, ready: Path) -> None:
    serve(owner)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.touch()
    time.sleep(3600)


def stopped(owner: int, ready: Path) -> None:
    serve(owner)
    ready.touch()
    os.kill(os.getpid(), signal.SIGSTOP)


def read_pipe(owner: int, ready: Path) -> None:
    """Blocks in a system call."""
    serve(owner)
    os.mkfifo(ready)
    ready.read_bytes()


def started(function: Callable[[int, Path], None], ready: Path) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=function, args=(os.getpid(), ready), daemon=True)
    with starting() as processes:
        process.start()
    assert processes == {process}
    while not ready.exists():
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("function", [sleep, ignore_sigterm, stopped, read_pipe])
def test_stuck_processes_are_ended(function: Callable[[int, Path], None], tmp_path: Path) -> None:
    processes = [started(function, tmp_path / str(i)) for i in range(3)]
    begin = time.monotonic()
    end(processes)
    assert time.monotonic() - begin < 5
    assert not any(process.is_alive() for process in processes)


def test_workers_ignore_sigint_and_end_on_sigterm(tmp_path: Path) -> None:
    process = started(sleep, tmp_path / "ready")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(0.3)
    assert process.is_alive()
    os.kill(process.pid, signal.SIGTERM)
    process.join(5)
    assert process.exitcode == -signal.SIGTERM
    end([process])


OWNER = """
import sys, time
from pathlib import Path
import test_processes
for number in range(2):
    test_processes.started(getattr(test_processes, sys.argv[1]), Path(sys.argv[2]) / str(number))
Path(sys.argv[2], "owner").touch()
exec(sys.argv[3])
"""


def owner(function: str, folder: Path, then: str) -> tuple[str, ...]:
    return sys.executable, "-c", OWNER, function, str(folder), then


def environment() -> dict[str, str]:
    folder = Path(__file__).parent
    return os.environ | {"PYTHONPATH": f"{folder.parent}:{folder}"}


@pytest.mark.parametrize("function", ["ignore_sigterm", "stopped"])
def test_processes_are_killed_with_their_owner(function: str, tmp_path: Path) -> None:
    with Command(*owner(function, tmp_path, "time.sleep(3600)"), env=environment()) as command:
        while not (tmp_path / "owner").exists():
            assert command.process.poll() is None, command.stderr()
            time.sleep(0.02)
        assert len(command.alive()) == 3
        command.process.kill()
        assert command.finish().returncode == -signal.SIGKILL  # finish() also fails if a process remains


@pytest.mark.parametrize("then", ["sys.exit(3)", "raise RuntimeError"])
def test_processes_end_when_the_interpreter_exits(then: str, tmp_path: Path) -> None:
    done = run(*owner("ignore_sigterm", tmp_path, then), env=environment())  # fails if a process remains
    assert done.returncode == (3 if "exit" in then else 1)
