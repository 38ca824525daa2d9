"""How every command runs and ends: options, signals, and one line for each error."""

import atexit
import inspect
import io
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from functools import partial, wraps
from typing import Any

from avsa_fast import terminal
from avsa_fast.errors import UserError
from avsa_fast.flags import parse_error, refuse_empty
from avsa_fast.interrupts import CODE, Interrupts

BROKEN_PIPE = 141  # exit code if the reader of the output has ended, as a shell reports it for other programs
ABOUT_DEBUG = "--debug, of every command, prints the traceback of an error."


def run_command(main: Callable[..., None], name: str, prog: str | None = None) -> None:
    """Runs a command line whose options are the parameters of `main`.

    Errors become one line on stderr: exit code 2 if the user can fix them, 1 if they are faults of avsa_fast, 130 after
    Ctrl-C or SIGTERM. With --debug the traceback comes before the line. If the reader of the output has ended, as of
    `| head`, nothing is printed and the exit code is 141.

    Args:
        main: Function to call; its docstring is the help. It imports first what is slow to import.
        name: Name of the module in avsa_fast, which also prefixes error messages.
        prog: Command name in the help; None: python -m avsa_fast.NAME.

    Raises:
        SystemExit: With the exit code, if it is not 0.
    """
    terminal.prepare_streams()
    interrupts = Interrupts(inspect.unwrap(main).__code__, lambda: _print(name, "interrupted"))
    atexit.register(_leave_threads, set(threading.enumerate()), interrupts)  # runs after what libraries register
    words = [word for word in sys.argv[1:] if word != "--debug"]
    code, message = 0, ""
    try:
        _parse(main, words, prog or f"python -m avsa_fast.{name}")()
        terminal.flush_output()
    except SystemExit as end:  # of --help
        code = end.code if isinstance(end.code, int) else 0
    except BaseException as error:
        if len(words) < len(sys.argv) - 1:
            for line in traceback.format_exc().splitlines():
                with suppress(OSError):
                    terminal.notice(line)
        code, message = (CODE, "interrupted") if interrupts.raised else _verdict(error)
    interrupts.code = code
    if message:
        _print(name, message)
    terminal.abandon_unwritten_output()
    if code:
        sys.exit(code)


def _leave_threads(others: set[threading.Thread], interrupts: Interrupts) -> None:
    """Ends the process at once if the command left daemon threads.

    C++ code that returns into an interpreter that has ended aborts the process.
    """
    if set(threading.enumerate()) - others:
        os._exit(interrupts.code or 0)


def run_subcommand(commands: Mapping[str, Callable[..., None]], about: Callable[..., None], name: str) -> None:
    """Runs the command line of a module with several commands, the first word of which names one.

    Args:
        commands: Functions to call, as for `run_command`, by name.
        about: Function whose help describes them, and whose one option takes their names.
        name: Name of the module in avsa_fast.

    Raises:
        SystemExit: As for `run_command`.
    """
    number = next((i for i, word in enumerate(sys.argv) if i and word != "--debug"), 0)
    word = sys.argv[number]
    if not number or word not in commands:
        run_command(about, name)
    else:
        del sys.argv[number]
        run_command(commands[word], f"{name} {word}")


def _parse(main: Callable[..., None], words: Sequence[str], prog: str) -> Callable[[], None]:
    """The call of `main` that a command line asks for. Raises UserError if it cannot be understood."""
    import tyro  # slow to import

    @wraps(main)
    def call(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return partial(main, *args, **kwargs)

    refuse_empty(words)
    about = (inspect.getdoc(main) or "").partition("\nArgs:")[0]  # tyro shows the arguments' help beside each option
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            parsed: Callable[[], None] = tyro.cli(call, prog=prog, args=words, description=f"{about}\n{ABOUT_DEBUG}")
    except SystemExit as end:
        if end.code:
            raise UserError(parse_error(said.getvalue())) from None
        raise
    return parsed


def _verdict(error: BaseException) -> tuple[int, str]:
    """Exit code and message of an error; no message if it is best ended quietly."""
    text = _text(error)
    match error:
        case KeyboardInterrupt():
            return CODE, "interrupted"
        case BrokenPipeError() if terminal.reader_left():
            return BROKEN_PIPE, ""
        case UserError():
            return 2, text
        case MemoryError():
            return 2, f"not enough memory: {text}" if text else "not enough memory"
        case OSError():
            return 2, _cause(error)
        case UnicodeError():
            return 2, f"a text that is not in the expected encoding: {text}"
        case RuntimeError() if "out of memory" in text.lower() or "can't allocate memory" in text:
            return 2, f"not enough memory: {text}"
        case RuntimeError() | ImportError():
            return 2, f"{text or type(error).__name__}; --debug shows where"
    return 1, f"a fault of avsa_fast: {type(error).__name__}: {text}; please report it with what --debug prints"


def _text(error: BaseException) -> str:
    """The line of an error's message that names the cause."""
    if isinstance(error, UserError) and "Original Traceback" not in str(error):
        return str(error)
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return lines[-1 if "Original Traceback" in str(error) else 0]  # torch adds the traceback of its worker


def _cause(error: OSError) -> str:
    """What the system refused, and for which path."""
    cause = error.strerror or _text(error) or type(error).__name__
    if error.filename is not None:
        return f"{error.filename}: {cause}"
    return cause


def _print(name: str, message: str) -> None:
    """Prints an error on one line to stderr, if stderr can still be written."""
    with suppress(OSError, ValueError):
        terminal.notice(f"{name}: {' '.join(message.split())}")
