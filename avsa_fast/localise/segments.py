"""Segments of an unfinished result: some seconds of video and table, each written atomically, so that work resumes."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dacite
import pyarrow as pa
import pyarrow.parquet as pq

from avsa_fast.bounds import shortened
from avsa_fast.detect.tracks import Tracker
from avsa_fast.embed.store import OPTIONS, resume_folder
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_folder
from avsa_fast.locks import owner_file, owner_lock
from avsa_fast.writing import writing

from .director import Director
from .table import SCHEMA

MAX_STATE = 10_000_000  # bytes of a state.json


@dataclass
class State:
    """What the next segment continues from.

    Attributes:
        tracker: Knows the objects.
        director: Moves the camera.
        camera: Directions of the camera in the segment's frames, azimuth and elevation in radians; empty without one.
    """

    tracker: Tracker = field(default_factory=Tracker)
    director: Director = field(default_factory=Director)
    camera: list[list[float]] = field(default_factory=list)


@contextmanager
def owned_segments(out: Path, options: dict[str, Any]) -> Iterator["Segments"]:
    """Context manager that makes this process the only one that writes a result.

    Args:
        out: The result, an .mp4 file that does not exist yet, or whose segments still exist.
        options: Everything that the result depends on, to be stored as JSON.

    Yields:
        The segments of the result.

    Raises:
        UserError: If `out` is invalid, exists, cannot be written or is written by another process, or its segments were
            created with other options.
    """
    if out.suffix.lower() != ".mp4":
        raise UserError(f"--out {out}: must end in .mp4")
    with owner_lock(owner_file(out), out):
        folder, table = out.with_name(f"{out.name}.parts"), out.with_suffix(".parquet")
        for path in (out, table):
            if path.exists() and not (folder / OPTIONS).exists():  # else a process was killed before it removed them
                raise UserError(f"--out {out}: {path} exists already; remove it, or name another")
        resume_folder(out, folder, options)
        yield Segments(out, table, folder)


@dataclass(frozen=True)
class Segments:
    """The folder OUT.mp4.parts with the segments.

    Attributes:
        out: The video.
        table: The table.
        folder: Folder of the segments.
    """

    out: Path
    table: Path
    folder: Path

    def has(self, number: int) -> bool:
        """Returns whether a segment is already written.

        Args:
            number: Number of the segment.
        """
        return self._path(number).is_dir()

    @contextmanager
    def writing(self, number: int) -> Iterator[Path]:
        """Context manager that writes a segment, whole or not at all.

        Args:
            number: Number of the segment.

        Yields:
            Folder to write to.

        Raises:
            WriteError: It cannot be written.
        """
        with atomic_folder(self._path(number)) as folder:
            yield folder

    def video(self, number: int) -> Path:
        """Returns the path of a segment's video.

        Args:
            number: Number of the segment.
        """
        return self._path(number) / "video.mp4"

    def rows(self, number: int) -> pa.Table:
        """Reads the table of a segment.

        Args:
            number: Number of the segment.

        Raises:
            UserError: If it is damaged.
        """
        path = self._path(number) / "rows.parquet"
        try:
            return pq.read_table(path, schema=SCHEMA)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(path.parent, error) from error

    def state(self, number: int) -> State:
        """Reads what a segment leaves to the next one.

        Args:
            number: Number of the segment.

        Raises:
            UserError: If it is damaged.
        """
        path = self._path(number) / "state.json"
        try:
            with path.open("rb") as file:
                values = json.loads(file.read(MAX_STATE))
            return dacite.from_dict(State, values, dacite.Config(strict=True))
        except (OSError, TypeError, ValueError, RecursionError, AttributeError, dacite.DaciteError) as error:
            raise _damaged(path.parent, error) from error

    def remove(self, numbers: Sequence[int]) -> None:
        """Removes the segments, and last what tells with which options they were created.

        Args:
            numbers: Numbers of all segments.
        """
        with writing(self.folder):
            for number in numbers:
                shutil.rmtree(self._path(number), ignore_errors=True)
            shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        """Folder of a segment."""
        return self.folder / f"{number:08d}"


def write_segment(folder: Path, rows: pa.Table, state: State) -> None:
    """Writes what a segment has beside its video.

    Args:
        folder: Folder of the segment.
        rows: Its table.
        state: What it leaves to the next segment.

    Raises:
        OSError: It cannot be written.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    (folder / "rows.parquet").write_bytes(sink.getvalue())
    (folder / "state.json").write_text(json.dumps(asdict(state)), encoding="utf-8")


def _damaged(segment: Path, error: Exception) -> UserError:
    return UserError(f"{segment}: damaged: {shortened(error)}; remove it to compute it again")
