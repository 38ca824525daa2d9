"""A step of run.sh: one command in its own process group, with a time limit and a log."""

import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """A command to run."""

    name: str
    command: list[str]
    seconds: float  # time limit
    env: dict[str, str] = field(default_factory=dict)
    rehearsal: list[str] | None = None  # command to run without a device; None: skipped


@dataclass(frozen=True)
class Outcome:
    """Result of a step."""

    step: str
    state: str  # passed, failed, timed out, not installed, no time left, rehearsed or not run
    seconds: float
    command: str


def take(step: Step, rehearse: bool, logs: Path, left: float) -> Outcome:
    """Runs a step and writes its output to logs/NAME.log; a failure of the command is reported, not raised.

    Args:
        step: Step to run.
        rehearse: Whether to run the command for machines without a device.
        logs: Folder of the logs.
        left: Seconds left for all steps.

    Returns:
        State, duration and command.
    """
    planned = shlex.join(step.command)
    command = step.command if not rehearse else step.rehearsal
    if command is None:
        print(f"{step.name}: not run without a device; would run {planned}", flush=True)
        return Outcome(step.name, "not run", 0.0, planned)
    limit = min(step.seconds, left)
    if limit < 1:
        return Outcome(step.name, "no time left", 0.0, planned)
    print(f"{step.name}: {shlex.join(command)}", flush=True)
    start = time.monotonic()
    state = run(command, logs / f"{step.name}.log", step.env, limit)
    if state == "passed" and rehearse:
        state = "rehearsed"
    taken = time.monotonic() - start
    print(f"{step.name}: {state} after {taken:.1f} s", flush=True)
    return Outcome(step.name, state, round(taken, 1), shlex.join(command))


def run(command: list[str], log: Path, env: dict[str, str], limit: float) -> str:
    """Runs a command with a time limit in seconds; returns "passed", "failed", "timed out" or "not installed"."""
    with log.open("w", encoding="utf-8") as output:
        try:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, **env},
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            output.write(f"{error}\n")
            return "not installed"
        try:
            code = process.wait(limit)
        except BaseException as error:  # on Ctrl-C too, so that no process is left running
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return "timed out"
    return "passed" if code == 0 else "failed"
