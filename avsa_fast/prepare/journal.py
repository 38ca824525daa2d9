"""What has been done in a dataset folder: a line a clip, appended when it is done; a run can be killed at any time."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from .clip import Result


class Entry(NamedTuple):
    key: str  # of the clip's files and the options
    row: dict[str, Any]
    media: list[str]  # paths in the folder that were made for it
    begin: int  # where its detections are in the file, bytes
    length: int


class Journal:
    """A file of one line a clip: {key, row, media} as JSON, a tab, its detections as JSON.

    A line that a kill cut short is cut off; of several lines of one clip the last one counts.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("a+b")
        self.entries: dict[str, Entry] = {}
        self._end = 0
        self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self._add(line)
            self._end += len(line)
        self._file.truncate(self._end)

    def close(self) -> None:
        self._file.close()

    def append(self, key: str, result: Result, media: list[str]) -> None:
        """Adds a clip's result. Raises OSError where it cannot be written; the journal is then as it was before."""
        head = json.dumps({"key": key, "row": result.row, "media": media})
        line = f"{head}\t{json.dumps(result.detections)}\n".encode()
        try:
            self._file.write(line)
            self._file.flush()
        except OSError:
            self._file.truncate(self._end)
            raise
        self._add(line)
        self._end += len(line)

    def detections(self, name: str) -> dict[str, list[Any]]:
        """A clip's detections, by column."""
        entry = self.entries[name]
        self._file.seek(entry.begin)
        found: dict[str, list[Any]] = json.loads(self._file.read(entry.length))
        return found

    def rows(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """Rows of the table of detections of some clips."""
        for name in names:
            found = self.detections(name)
            for values in zip(*found.values(), strict=True):
                yield {"name": name} | dict(zip(found, values, strict=True))

    def _add(self, line: bytes) -> None:
        head, _, tail = line.partition(b"\t")
        try:
            values = json.loads(head)
            entry = Entry(values["key"], values["row"], values["media"], self._end + len(head) + 1, len(tail) - 1)
            self.entries[entry.row["name"]] = entry
        except (ValueError, KeyError, TypeError):
            return  # a line damaged on disk: its clip is prepared anew


def file_stamp(path: Path | None) -> list[Any] | None:
    """What changes when a file does."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError as error:
        return [str(error.strerror)]
    return [found.st_size, found.st_mtime_ns]
