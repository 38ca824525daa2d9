"""What commands print: names and errors from strangers reach the terminal on one line, without control characters."""

import os
import select
import sys
import unicodedata
from io import TextIOWrapper
from typing import TextIO

# Characters that no name and no line has: control characters, separators of lines, and bytes that are not UTF-8.
EXCLUDED = {"Cc", "Zl", "Zp", "Cs"}


def say(line: str) -> None:
    """Prints a line to standard output.

    Args:
        line: Any text; characters that cannot be printed become U+FFFD.
    """
    _write(f"{printable(line)}\n", sys.stdout, "standard output")


def notice(line: str) -> None:
    """Prints a line to standard error.

    Args:
        line: As for `say`.
    """
    _write(f"{printable(line)}\n", sys.stderr, "standard error")


def printable(text: str) -> str:
    """Returns a text on one line of valid UTF-8: excluded characters become U+FFFD.

    Args:
        text: Any text, in which surrogates stand for bytes that are not UTF-8, as in Python's file names.
    """
    if not has_excluded(text):
        return text
    return "".join("\ufffd" if unicodedata.category(c) in EXCLUDED else c for c in text)


def has_excluded(text: str) -> bool:
    """Returns whether a text has a character that no name and no line has.

    Args:
        text: As for `printable`.
    """
    return not text.isprintable() and any(unicodedata.category(c) in EXCLUDED for c in text)


def prepare_streams() -> None:
    """Lets the standard streams print any text: what the locale's encoding lacks becomes an escape such as \\xb2.

    A stream that the process started without is replaced by one that discards what it gets.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the end of the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Flushes standard output. Raises OSError, which names it, if it cannot be written."""
    _write("", sys.stdout, "standard output")


def reader_left() -> bool:
    """Returns whether standard output or error is a pipe whose reader has ended, as of `head`."""
    return any(map(_is_broken, (sys.stdout, sys.stderr)))


def abandon_unwritten_output() -> None:
    """Discards what standard output and error hold if they cannot be written, on which Python's end would fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), stream.fileno())
        except ValueError:  # it is closed
            continue


def _is_broken(stream: TextIO) -> bool:
    """Whether a stream is a pipe or a socket without a reader."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _write(text: str, stream: TextIO, name: str) -> None:
    """Writes and flushes a text; an error names the stream."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        error.filename = name
        raise
