"""Runs many commands in little time: a process imports the package once, and runs each command line in a fork.

python -m helpers.forked reads lines of JSON, [module, arguments…], and answers each with [exit code, output].
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

FOLDER = Path(__file__).parents[1]
LIMIT = 120.0  # seconds for a command
_fork = get_context("fork")


class Forked:
    """The process that forks. Signals and the start of a command are better tested with `helpers.commands`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, module: str, *arguments: object) -> tuple[int, str]:
        """Runs `python -m avsa_fast.MODULE ARGUMENTS`; returns the exit code and all output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([module, *map(str, arguments)]), file=self._process.stdin, flush=True)
        code, output = json.loads(self._process.stdout.readline())
        return code, output


@contextmanager
def forked() -> Iterator[Forked]:
    """Context manager that starts the process, and ends it."""
    environment = os.environ | {"PYTHONPATH": f"{FOLDER.parent}:{FOLDER}", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "helpers.forked"]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        yield Forked(process)
        process.communicate()  # closes its input, which ends it


def _work(module: str, arguments: list[str], output: int) -> None:
    """Runs a command in this process."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = [module, *arguments]
    runpy.run_module(f"avsa_fast.{module}", run_name="__main__", alter_sys=True)


def main() -> None:
    # What is slow to import; nothing here starts threads, which a fork would lose.
    import avsa_fast.evaluate.pretext
    import avsa_fast.report.dataset
    import avsa_fast.report.run
    import avsa_fast.train.loop  # noqa: F401
    from avsa_fast import isolation

    isolation._spawn = _fork  # type: ignore[assignment]
    for line in sys.stdin:
        module, *arguments = json.loads(line)
        with tempfile.TemporaryFile() as output:
            process = _fork.Process(target=_work, args=(module, arguments, output.fileno()))
            process.start()
            process.join(LIMIT)
            process.kill()  # if it hangs
            process.join()
            text = os.pread(output.fileno(), 1 << 20, 0).decode(errors="replace")
        print(json.dumps([process.exitcode, text]), flush=True)


if __name__ == "__main__":
    main()
