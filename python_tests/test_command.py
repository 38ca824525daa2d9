"""Every command ends through one place: errors are one line, output may fail, and help is quick."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.commands import invoke, module, run

COMMANDS = ("scenes", "prepare", "train", "evaluate", "embed", "export", "report", "localise", "seld")
HELP_SECONDS = 0.5  # of CPU

PRINTING = r"""
from avsa_fast.command import run_command
from avsa_fast.terminal import notice, say
def main(lines: int = 1) -> None:
    for number in range(lines):
        say(f"{number}: 5\xb2 \xb1 1")
    notice("noted: \xb2")
run_command(main, "test")
"""

# Threads that return from C++ code all the time, also while the interpreter ends.
LEAVING_THREADS = r"""
from threading import Thread
import numpy as np
import scipy.fft
from avsa_fast.command import run_command
from avsa_fast.errors import UserError
def transform() -> None:
    while True:
        scipy.fft.fft(np.zeros(100_000))
def main() -> None:
    for _ in range(4):
        Thread(target=transform, daemon=True).start()
    raise UserError("enough")
run_command(main, "test")
"""


def failing(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def decode() -> None:
    b"\xff".decode()


def read_folder() -> None:
    Path("/proc").read_text()


def allocate() -> None:
    torch.empty(1 << 50)


@pytest.mark.parametrize(
    ("main", "code", "message"),
    [
        (failing(OSError(28, "No space left on device", "out/a.mp4")), 2, "out/a.mp4: No space left on device"),
        (failing(OSError(28, "No space left on device")), 2, "No space left on device"),
        (read_folder, 2, "/proc: Is a directory"),
        (decode, 2, "a text that is not in the expected encoding: 'utf-8' codec can't decode byte 0xff"),
        (failing(MemoryError()), 2, "not enough memory"),
        (allocate, 2, "not enough memory: "),
        (failing(torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate")), 2, "not enough memory: CUDA out"),
        (failing(RuntimeError("sizes differ\nat fault.cpp:1")), 2, "sizes differ; --debug shows where"),
        (failing(BrokenPipeError(32, "Broken pipe")), 2, "Broken pipe"),
        (failing(KeyError("name")), 1, "a fault of avsa_fast: KeyError: 'name'; please report it"),
        (
            failing(RuntimeError("Caught OSError.\nOriginal Traceback (most):\n  File\nOSError: gone")),
            2,
            "OSError: gone",
        ),
    ],
)
def test_an_error_is_one_line(main: Callable[[], None], code: int, message: str) -> None:
    done = invoke(main, "test")
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"test: {message}")
    debugged = invoke(main, "test", "--debug")
    assert debugged.returncode == code
    assert debugged.stderr.startswith("Traceback (most recent call last):\n")
    assert debugged.stderr.splitlines()[-1] == line


def test_names_cannot_forge_lines_or_control_the_terminal() -> None:
    name = "a\ntrain: done\r\x1b[2J\x9b31m\u2028\udcff.mp4"
    done = invoke(failing(FileNotFoundError(2, "No such file or directory", name)), "train")
    (line,) = done.stderr.splitlines()
    assert line == "train: a train: done �[2J�31m �.mp4: No such file or directory"
    assert invoke(failing(KeyError(name)), "train", "--debug").stderr.isascii()


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_any_locale(variables: dict[str, str]) -> None:
    done = run(sys.executable, "-c", PRINTING, env=os.environ | variables, check=True)
    assert (done.stdout, done.stderr) == ("0: 5\\xb2 \\xb1 1\n", "noted: \\xb2\n")


def shell(line: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell's command line in which "$@" is a command; its exit code is that of its last command."""
    return run("bash", "-c", line, "bash", *words)


def test_a_closed_pipe_ends_quietly() -> None:
    printing = (sys.executable, "-c", PRINTING, "--lines", "100000")
    done = shell('"$@" | head -n 1; exit ${PIPESTATUS[0]}', *printing)
    assert (done.returncode, done.stdout, done.stderr) == (141, "0: 5² ± 1\n", "")


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ('"$@" > /dev/full', 2, "test: standard output: No space left on device\n"),
        ('"$@" 2> /dev/full', 2, ""),
        ('"$@" > /dev/full 2> /dev/full', 2, ""),
        ('"$@" 2>&-', 0, ""),
    ],
)
def test_output_that_cannot_be_written(line: str, code: int, error: str) -> None:
    done = shell(line, sys.executable, "-c", PRINTING)
    assert (done.returncode, done.stderr) == (code, error)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_quick(name: str) -> None:
    """Torch is not imported for it. It may be slow at first, since a busy machine costs more CPU too."""
    assert any(cpu_seconds(*module(name), "--help") < HELP_SECONDS for _ in range(5))


def cpu_seconds(*line: str) -> float:
    """CPU time of a command, which must succeed."""
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_a_command_that_leaves_threads_in_native_code_is_not_aborted() -> None:
    for _ in range(3):
        done = run(sys.executable, "-c", LEAVING_THREADS)
        assert (done.returncode, done.stderr) == (2, "test: enough\n")
