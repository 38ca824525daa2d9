"""Graceful stop of a run on SIGINT and SIGTERM."""

import signal
import time
from types import FrameType
from typing import Self

# Seconds within which a repeated signal is ignored: timeout(1) signals both the process and its group.
REPEAT = 1.0


class Stop:
    """Context manager in which a first SIGINT or SIGTERM requests a stop and a second one raises KeyboardInterrupt.

    The first lets the current step finish; the second interrupts a step that hangs.
    """

    def __init__(self) -> None:
        self._requested_at: float | None = None  # monotonic time
        self._at_once = False

    @property
    def requested(self) -> bool:
        """Whether a signal has requested a stop."""
        return self._requested_at is not None

    def raise_at_once(self) -> None:
        """From now on the first signal raises KeyboardInterrupt; raises it now if a stop was already requested."""
        self._at_once = True
        if self.requested:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        now = time.monotonic()
        if self._at_once or (self._requested_at is not None and now - self._requested_at > REPEAT):
            raise KeyboardInterrupt
        self._requested_at = self._requested_at or now
