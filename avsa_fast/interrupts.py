"""Ctrl-C and SIGTERM in a command: at any instant one line and exit code 130."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType

CODE = 130  # exit code of an interrupted command
AGAIN = 0.05  # seconds after which an interrupt that Python had to ignore is repeated


class Interrupts:
    """Handler of SIGINT and SIGTERM, from its creation to the end of the process.

    While the command works, a signal raises KeyboardInterrupt, so that files and processes are cleaned up. Before, as
    options are read and modules are imported, there is nothing to clean up, and libraries may swallow an exception: the
    process ends at once. After the work it ends at once too, with the exit code that the work had.

    Attributes:
        raised: Whether KeyboardInterrupt was raised.
        code: Exit code; None before the end of the work.
    """

    def __init__(self, work: CodeType, report: Callable[[], None]) -> None:
        """Installs the handler, unless signals are ignored, as under nohup.

        Args:
            work: Code of the function that does the work. What it imports itself comes before the work.
            report: Prints the line.
        """
        self.raised = False
        self.code: int | None = None
        self._work, self._report = work, report
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
        sys.unraisablehook = _repeat

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        if self.code is not None:
            os._exit(self.code)
        if _is_at_work(frame, self._work):
            self.raised = True
            raise KeyboardInterrupt
        self.code = CODE
        self._report()
        os._exit(CODE)


def _is_at_work(frame: FrameType | None, work: CodeType) -> bool:
    """Whether the function of this code runs, and not an import that it makes itself."""
    inner: FrameType | None = None
    while frame is not None:
        if frame.f_code is work:
            return inner is None or not inner.f_code.co_filename.startswith("<frozen importlib")
        inner, frame = frame, frame.f_back
    return False


def _repeat(ignored: "sys.UnraisableHookArgs") -> None:
    """Repeats an interrupt that was raised where Python ignores exceptions, as in a finaliser."""
    if ignored.exc_type is KeyboardInterrupt:
        threading.Timer(AGAIN, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    else:
        sys.__unraisablehook__(ignored)


def _leave_to_default() -> None:
    """In a forked process: the signals end it, since its owner reports and cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if isinstance(getattr(signal.getsignal(number), "__self__", None), Interrupts):
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_leave_to_default)
