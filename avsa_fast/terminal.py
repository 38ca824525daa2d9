"""What commands print: names and errors from strangers reach the terminal on one line, without control characters."""

import os
import select
import sys
import unicodedata
from typing import TextIO

# Characters that no name and no line has: control characters, separators of lines, and bytes that are not UTF-8.
EXCLUDED = {"Cc", "Zl", "Zp", "Cs"}


def say(line: str) -> None:
    """Prints a line to standard output.

    Args:
        line: Any text; characters that cannot be printed become U+FFFD.
    """
    print(printable(line), flush=True)


def notice(line: str) -> None:
    """Prints a line to standard error.

    Args:
        line: As for `say`.
    """
    print(printable(line), file=sys.stderr, flush=True)


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


def accept_any_text() -> None:
    """Lets the standard streams print characters that the locale's encoding lacks, as escapes such as \\xb2."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's stream may have none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def output_fails() -> bool:
    """Returns whether standard output cannot be written, as on a full disk."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


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
