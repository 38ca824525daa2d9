"""Text files with one entry per line: lists of clips and of segments."""

from pathlib import Path

from avsa_fast.errors import UserError

MAX_LIST_BYTES = 2**28  # a million names of the maximum length


def read_lines(path: Path, content: str) -> list[str]:
    """Reads the lines of a UTF-8 file, with or without a byte order mark, ended by LF or CRLF.

    Args:
        path: The file.
        content: What it should hold, for messages: "a list of names".

    Returns:
        Its lines without surrounding white space; empty lines are left out.

    Raises:
        UserError: It is not a regular file, cannot be read, is larger than 256 MB, or is not UTF-8.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: not {content}: not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: not {content}: {error.strerror}") from error
    if len(data) > MAX_LIST_BYTES:
        raise UserError(f"{path}: not {content}: larger than {MAX_LIST_BYTES >> 20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}: not {content}: line {line} is not UTF-8") from error
    return [line for line in map(str.strip, text.splitlines()) if line]
