"""Journal of the clips prepared in a dataset folder: one line per clip, so that a killed run can be resumed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from avsa_fast.terminal import printable
from avsa_fast.writing import Lines, open_regular

from .clip import Result


class JournalEntry(NamedTuple):
    """The journal's record of one clip.

    Attributes:
        key: Hash of the clip's files and the options.
        row: The clip's row of the index, without the split.
        media: Paths of the clip's links or files, relative to the dataset folder.
        begin: Offset of its detections in the journal, bytes.
        length: Length of its detections, bytes.
    """

    key: str
    row: dict[str, Any]
    media: list[str]
    begin: int
    length: int


class Journal:
    """Append-only file with one line per clip: {key, row, media} as JSON, a tab, the detections as JSON.

    Opening it removes an incomplete last line, which a killed run may leave. The last line of a clip takes precedence.

    Attributes:
        entries: Records, by name of the clip.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates the journal.

        Args:
            path: File, in an existing folder.

        Raises:
            WriteError: It cannot be opened, or is a link.
        """
        self._lines = Lines(path)
        self.entries: dict[str, JournalEntry] = {}
        self._end = 0
        with open(open_regular(path, os.O_RDONLY), "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._add(line)
                self._end += len(line)
        self._lines.truncate(self._end)
        self._file = open(open_regular(path, os.O_RDONLY), "rb")  # noqa: SIM115 (closed by `close`)

    def close(self) -> None:
        """Flushes the file to disk and closes it."""
        self._file.close()
        self._lines.close()

    def append(self, key: str, result: Result, media: list[str]) -> None:
        """Adds a clip's result.

        Args:
            key: Hash of the clip's files and the options.
            result: The clip's row and detections.
            media: Paths of the clip's files, relative to the dataset folder.

        Raises:
            WriteError: It cannot be written; the journal is then unchanged.
        """
        reason = result.row.get("reason")  # names files, which need not be UTF-8
        row = result.row | {"reason": printable(reason)} if reason else result.row
        head = json.dumps({"key": key, "row": row, "media": media})
        line = f"{head}\t{json.dumps(result.detections)}\n".encode()
        self._lines.append(line)
        self._add(line)
        self._end += len(line)

    def detections(self, name: str) -> dict[str, list[Any]]:
        """Returns the detections, by column, of the clip with a name."""
        entry = self.entries[name]
        self._file.seek(entry.begin)
        columns: dict[str, list[Any]] = json.loads(self._file.read(entry.length))
        return columns

    def rows(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """Yields the rows of detections.parquet for the clips with these names, in order."""
        for name in names:
            columns = self.detections(name)
            for values in zip(*columns.values(), strict=True):
                yield {"name": name} | dict(zip(columns, values, strict=True))

    def _add(self, line: bytes) -> None:
        head, _, tail = line.partition(b"\t")
        try:
            values = json.loads(head)
            media = [path for path in values["media"] if is_media_path(path)]
            entry = JournalEntry(values["key"], values["row"], media, self._end + len(head) + 1, len(tail) - 1)
            self.entries[entry.row["name"]] = entry
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # a damaged line: its clip is prepared again


def is_media_path(path: str) -> bool:
    """Returns whether a path of a journal, which may be a stranger's, is that of a file in video/ or audio/.

    Args:
        path: The path, relative to the dataset folder.
    """
    folder, _, name = path.partition("/")
    return folder in ("video", "audio") and name != "" and not name.startswith(".") and not {"/", "\0"} & set(name)


def file_stamp(path: Path | None) -> list[Any] | None:
    """Returns a file's size and modification time, to detect changes.

    Args:
        path: File.

    Returns:
        [bytes, nanoseconds]; None without a path; the error's text if the file cannot be accessed.
    """
    if path is None:
        return None
    try:
        stat = os.stat(path)
    except OSError as error:
        return [str(error.strerror)]
    return [stat.st_size, stat.st_mtime_ns]
