"""Ctrl-C and SIGTERM end every command with one line and exit code 130, whatever it does at that instant."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from helpers.commands import Command, module, run

COMMANDS = {
    "scenes": ("out",),
    "prepare": ("src", "dst"),
    "train": ("--data", "data"),
    "evaluate": ("run", "--task", "avc"),
    "embed": ("run", "sound.wav"),
    "export": ("run", "out"),
    "report": ("run", "--out", "page.html"),
}

# A command that gets a signal when it imports a module.
INTERRUPTED_IMPORT = """
import os, runpy, sys
name, module, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
sys.argv[:4] = [name]
runpy.run_module(f"avsa_fast.{name}", run_name="__main__", alter_sys=True)
"""

# Commands that get signals at other instants, in which Python and libraries tend to swallow exceptions.
INSTANTS = {
    "a finaliser": """
        class Held:
            def __del__(self):
                interrupt()
        Held()
        time.sleep(60)
    """,
    "an import of a library": """
        import wrapped
        time.sleep(60)
    """,
    "the clean-up": """
        try:
            interrupt()
        finally:
            interrupt()
    """,
    "a conversion to another error": """
        try:
            interrupt()
        except KeyboardInterrupt:
            raise ValueError("worker died")
    """,
}
SCRIPT = """
import atexit, os, signal, sys, time
from avsa_fast.command import run_command
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
def main() -> None:
    {body}
run_command(main, "test")
"""


def script(body: str) -> tuple[str, ...]:
    lines = [line[8:] if line.startswith("        ") else line for line in body.strip("\n").splitlines()]
    return sys.executable, "-c", SCRIPT.replace("{body}", "\n    ".join(lines))


@pytest.mark.parametrize(
    ("name", "imported", "number"),
    [(name, "torch", signal.SIGINT) for name in COMMANDS]
    + [("train", "tyro", signal.SIGINT), ("prepare", "torch", signal.SIGTERM)],
)
def test_interrupted_imports(tmp_path: Path, name: str, imported: str, number: signal.Signals) -> None:
    (tmp_path / "run").mkdir()
    done = run(
        sys.executable, "-c", INTERRUPTED_IMPORT, name, imported, int(number), *COMMANDS[name], cwd=tmp_path
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{name}: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("instant", INSTANTS)
def test_interrupted_work(tmp_path: Path, instant: str) -> None:
    # A library that swallows an interrupt of its import.
    (tmp_path / "wrapped.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass\n"
    )
    began = time.monotonic()
    done = run(*script(INSTANTS[instant]), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "test: interrupted\n")
    assert time.monotonic() - began < 45


def test_a_signal_after_the_work_does_not_change_the_result() -> None:
    done = run(*script("atexit.register(interrupt); print('done')"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_ignored_signals_stay_ignored() -> None:
    """As under nohup."""
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    done = run(sys.executable, "-c", code, *script("interrupt(); print('done')"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_interrupted_scenes_leave_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with Command(*module("scenes"), tmp_path / "out", "--count", 1000) as command:
        while not list(tmp_path.rglob("video/*")):
            assert command.process.poll() is None, command.stderr()
            time.sleep(0.02)
        os.kill(command.process.pid, number)
        done = command.finish()
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "scenes: interrupted"
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
