"""Peaks of this process's memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def peak_growth() -> Iterator[Callable[[], int]]:
    """Yields a function that returns by how many bytes resident memory grew at most since it was made."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from the present size
    before = peak()
    yield lambda: peak() - before


def peak() -> int:
    """Returns the greatest number of bytes that were resident."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
