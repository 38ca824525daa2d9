"""python -m helpers.inject TARGET CALL ERROR STAMP MODULE ARGUMENTS…: runs a command with an injected error.

TARGET (package.module:Class.function) raises ERROR on its CALL-th call in the command's main process, and writes the
monotonic time to the file STAMP. `injected` runs this and checks how the command ends.
"""

import functools
import importlib
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from avsa_fast.errors import UserError

ERRORS = {error.__name__: error for error in (RuntimeError, UserError, KeyboardInterrupt)}
MESSAGE = "injected error"


def injected(
    target: str, error: str, stamp: Path, module: str, *arguments: object, call: int = 1
) -> subprocess.CompletedProcess[str]:
    """Runs a command with an injected error; fails if it ends late, leaves a process, or never reaches the call."""
    from .commands import Command

    folder = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": f"{folder.parent}:{folder}"}
    line = (sys.executable, "-m", "helpers.inject", target, call, error, stamp, f"avsa_fast.{module}", *arguments)
    with Command(*line, env=environment) as command:
        done = command.finish()
        assert stamp.exists(), f"{target} was not called {call} times: {done.stderr}"
        command.assert_ended_since(float(stamp.read_text()))
    return done


def main() -> None:
    target, call, error, stamp, module, *arguments = sys.argv[1:]
    _patch(target, int(call), ERRORS[error], Path(stamp))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _patch(target: str, call: int, error: type[BaseException], stamp: Path) -> None:
    name, _, path = target.partition(":")
    *parents, attribute = path.split(".")
    owner: Any = functools.reduce(getattr, parents, importlib.import_module(name))
    function, process, calls = getattr(owner, attribute), os.getpid(), 0

    @functools.wraps(function)
    def raising(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += os.getpid() == process
        if calls == call and os.getpid() == process:
            stamp.write_text(str(time.monotonic()))
            raise error(MESSAGE)
        return function(*arguments, **options)

    setattr(owner, attribute, raising)


if __name__ == "__main__":
    main()
