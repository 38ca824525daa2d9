"""Errors that the user can fix, and how commands report them."""

import inspect
import sys
from collections.abc import Callable


class UserError(Exception):
    """Error that the user can fix. The message is one line that names the cause and the expected input."""


class ClipError(UserError):
    """A clip cannot be used. `state` is its state in the index."""

    def __init__(self, state: str, message: str) -> None:
        """Stores the state.

        Args:
            state: A key of `data.table_rules.STATES` other than "ok".
            message: One line that names the reason.
        """
        super().__init__(message)
        self.state = state


class BuildError(UserError, ImportError, RuntimeError):
    """This build of avsa_fast does not support the request on this machine; the message names the remedy."""


def run_command(main: Callable[..., None], name: str, prog: str | None = None) -> None:
    """Runs a command line whose options are the parameters of `main`.

    A UserError ends the process with exit code 2 and a one-line message, Ctrl-C with exit code 130.

    Args:
        main: Function to call; its docstring is the help.
        name: Name of the module in avsa_fast, which also prefixes error messages.
        prog: Command name in the help; None: python -m avsa_fast.NAME.
    """
    import tyro  # slow to import, and the kernels import this module for its errors

    about = (inspect.getdoc(main) or "").partition("\nArgs:")[0]  # tyro shows the arguments' help beside each option
    try:
        tyro.cli(main, prog=prog or f"python -m avsa_fast.{name}", description=about)
    except UserError as error:
        sys.exit(_report(name, str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_report(name, "interrupted", 130))


def _report(name: str, message: str, code: int) -> int:
    """Prints an error on one line to stderr; returns the exit code."""
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return code
