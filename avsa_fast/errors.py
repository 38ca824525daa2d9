"""Mistakes that a user can mend, and how commands report them."""

import inspect
import sys
from collections.abc import Callable


class UserError(Exception):
    """A user's mistake. The message is one line that names the culprit and what would be right."""


class ClipError(UserError):
    """Why a clip cannot be used: `state` in a word, as the index has it, the message in a line."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


class BuildError(UserError, ImportError, RuntimeError):
    """What this build of avsa_fast cannot do on this machine, in a line, with the way out."""


def run_command(main: Callable[..., None], name: str, prog: str | None = None) -> None:
    """Runs a command whose options are the parameters of `main`, which is called by `prog`: python -m avsa_fast.NAME.

    Ends the process with code 2 and one line on a UserError, with 130 on Ctrl-C.
    """
    import tyro  # here, since it takes longer to load than the kernels, which import this module's errors

    about = (inspect.getdoc(main) or "").partition("\nArgs:")[0]  # tyro shows each option's text beside it
    try:
        tyro.cli(main, prog=prog or f"python -m avsa_fast.{name}", description=about)
    except UserError as error:
        sys.exit(_report(name, str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_report(name, "interrupted", 130))


def _report(name: str, message: str, code: int) -> int:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return code
