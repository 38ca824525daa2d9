"""Names of clips: what tables, lists and file names can hold."""

import hashlib
import os
from collections.abc import Collection

from avsa_fast.terminal import has_excluded, printable

# Bytes of a name. The longest file name made from it, `.NAME.flac.PID.part`, then has at most 249 of the 255 bytes that
# file systems allow.
MAX_BYTES = 230
HASH_DIGITS = 10  # hexadecimal digits of the hash in names that are changed


def is_valid_name(text: str) -> bool:
    """Returns whether a text can be the name of a clip: valid UTF-8 of at most 230 bytes on one line, not empty.

    Args:
        text: Any text, in which surrogates stand for bytes that are not UTF-8, as in Python's file names.
    """
    if text.isascii():
        return text.isprintable() and 0 < len(text) <= MAX_BYTES
    return not has_excluded(text) and len(text.encode()) <= MAX_BYTES


def are_valid_names(texts: Collection[str]) -> bool:
    """Like `is_valid_name` of all texts, but fast if they are ASCII, as for a folder of 100,000 files.

    Args:
        texts: Any texts.
    """
    joined = "".join(texts)
    if joined.isascii() and joined.isprintable():
        return not texts or (min(map(len, texts)) > 0 and max(map(len, texts)) <= MAX_BYTES)
    return all(map(is_valid_name, texts))


def valid_name(text: str, path: str | None = None) -> str:
    """Returns the name of a clip: the text itself if it can be one.

    Otherwise the name is a readable beginning of the text, cut between characters, and a hash, so that different paths
    give different names. It depends on nothing else.

    Args:
        text: File name without its suffix, or folders and file name joined.
        path: What is hashed; None: the text.
    """
    return text if is_valid_name(text) else distinct_name(text, path or text)


def distinct_name(text: str, path: str) -> str:
    """Returns a name that begins like a text and ends with the hash of a path.

    Args:
        text: As for `valid_name`.
        path: The path, which the text may share with others.
    """
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:HASH_DIGITS]
    room = MAX_BYTES - len(digest) - 1
    # Cutting UTF-8 within a character leaves bytes that "ignore" drops.
    beginning = printable(text).encode()[:room].decode(errors="ignore").rstrip()
    return f"{beginning}~{digest}"
