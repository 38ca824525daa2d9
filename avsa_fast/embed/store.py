"""Resumable storage of embeddings: small Parquet parts, written atomically and joined at the end.

If the process is killed, only complete parts remain; the same command with the same options computes the rest.
"""

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from torch import Tensor

from avsa_fast.bounds import shortened
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_write
from avsa_fast.locks import owner_file, owner_lock
from avsa_fast.writing import make_subfolder, writing

COLUMNS = {
    "file": pa.string(),
    "modality": pa.string(),  # "video" or "audio"
    "time": pa.float64(),  # centre of the window, in seconds from the start of the file
    "azimuth": pa.float32(),  # radians
    "elevation": pa.float32(),
    "embedding": pa.list_(pa.float32()),
}
SCHEMA = pa.schema(list(COLUMNS.items()))
OPTIONS = "choices.json"  # file among the parts


@contextmanager
def owned_parts(out: Path, options: dict[str, Any]) -> Iterator["Parts"]:
    """Context manager that makes this process the only one that writes a result.

    Args:
        out: The result, a .parquet or .npy file that does not exist yet, or whose parts still exist.
        options: Everything that the result depends on, to be stored as JSON.

    Yields:
        The parts of the result.

    Raises:
        UserError: If `out` is invalid, exists, cannot be written or is written by another process, or its parts were
            created with other options.
    """
    if out.suffix not in (".parquet", ".npy"):
        raise UserError(f"--out {out}: must end in .parquet or .npy, or be - for JSON lines")
    with owner_lock(owner_file(out), out):
        parts = out.with_name(f"{out.name}.parts")
        if out.exists() and not (parts / OPTIONS).exists():  # else a process was killed before it removed them
            raise UserError(f"--out {out} exists already; remove it, or name another")
        names = out.with_suffix(".csv")
        if out.suffix == ".npy" and names.exists() and not parts.exists():
            raise UserError(f"--out {out}: {names} exists already; remove it, or name another")
        yield Parts(out, parts, options)


class Parts:
    """The folder OUT.parts with the parts of an unfinished result."""

    def __init__(self, out: Path, folder: Path, options: dict[str, Any]) -> None:
        """Creates the folder, or resumes from the one that exists.

        Args:
            out: The result, a .parquet or .npy file.
            folder: Folder of the parts.
            options: Everything that the result depends on, to be stored as JSON.

        Raises:
            UserError: If the folder cannot be written, or was created with other options.
        """
        self.out, self.folder = out, folder
        resume_folder(out, folder, options)

    def has(self, name: str) -> bool:
        """Returns whether a part is already written.

        Args:
            name: Name of the part.
        """
        return self._path(name).exists()

    def add(
        self, name: str, file: str, modality: str, times: list[float], directions: Tensor, embeddings: Tensor
    ) -> None:
        """Writes a part.

        Args:
            name: Name of the part; parts are joined in the order of their names.
            file: Path of the media file, for the column "file".
            modality: "video" or "audio".
            times: Centres of the n windows, in seconds.
            directions: float32 [K, 2], azimuth and elevation in radians.
            embeddings: float32 [n, K, E].
        """
        n, K, _ = embeddings.shape
        rows = {
            "file": [file] * (n * K),
            "modality": [modality] * (n * K),
            "time": np.repeat(times, K),
            "azimuth": np.tile(directions[:, 0].numpy(), n),
            "elevation": np.tile(directions[:, 1].numpy(), n),
            "embedding": list(embeddings.flatten(0, 1).numpy()),
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(rows, schema=SCHEMA), sink)
        _write(self._path(name), sink.getvalue())

    def join(self) -> int:
        """Joins the parts in the order of their names, writes the result and removes the folder.

        Returns:
            The number of rows.

        Raises:
            UserError: If the result cannot be written, there are no parts, or embeddings of different sizes do not fit
                one .npy array.
        """
        parts = sorted(self.folder.glob("*.parquet"))
        if not parts:
            self._remove()
            raise UserError("no embeddings: no file could be read")
        rows = sum(len(_read(part, ["time"])) for part in parts)
        with atomic_write(self.out) as path:
            if self.out.suffix == ".parquet":
                with pq.ParquetWriter(path, SCHEMA) as writer:
                    for table in _tables(parts):
                        writer.write_table(table)
            else:
                self._join_array(parts, rows, path)
        self._remove()
        return rows

    def _remove(self) -> None:
        """Removes the folder, and last what tells with which options it was created."""
        with writing(self.folder):
            for part in self.folder.glob("*.parquet"):
                part.unlink()
            shutil.rmtree(self.folder)

    def _join_array(self, parts: list[Path], rows: int, path: Path) -> None:
        """Writes a float32 array [rows, E] to `path`, and a CSV file with the other columns beside the result."""
        widths = {len(_read(part, ["embedding"])["embedding"][0]) for part in parts}
        if len(widths) > 1:
            raise UserError(
                f"--out {self.out}: embeddings of {min(widths)} and of {max(widths)} values do not fit one array; "
                "name one --modality, or write .parquet"
            )
        (width,) = widths
        written = 0
        with (
            atomic_write(self.out.with_suffix(".csv")) as names_path,
            path.open("wb") as array,
            names_path.open("w", newline="", encoding="utf-8") as names,
        ):
            np.lib.format.write_array_header_1_0(
                array, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            )
            writer = csv.writer(names)
            writer.writerow(list(COLUMNS)[:-1])
            for table in _tables(parts):
                array.write(table["embedding"].combine_chunks().flatten().to_numpy().astype("<f4").tobytes())
                writer.writerows(zip(*(table[name].to_pylist() for name in list(COLUMNS)[:-1]), strict=True))
                written += len(table)
        assert written == rows

    def _path(self, name: str) -> Path:
        """Path of a part."""
        return self.folder / f"{name}.parquet"


def resume_folder(out: Path, folder: Path, options: dict[str, Any]) -> None:
    """Creates the folder of the parts of a result, or checks that the one that exists belongs to the same options.

    Args:
        out: The result.
        folder: Folder of its parts.
        options: Everything that the result depends on, to be stored as JSON.

    Raises:
        UserError: If the folder cannot be written, or was created with other options.
    """
    make_subfolder(folder.parent, folder.name)
    existing = folder / OPTIONS
    if not existing.exists():
        _write(existing, json.dumps(options).encode())
        return
    try:
        before = json.loads(existing.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--out {out}: cannot continue: {existing}: {error}; remove {folder}") from error
    if before != options:
        raise UserError(f"{folder} was created with other files or options; remove it, or use the same ones")


def _tables(parts: list[Path]) -> Iterator[pa.Table]:
    """Reads parts one at a time."""
    for part in parts:
        yield _read(part)


def _read(part: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads columns of a part, all by default; raises UserError if it is not as it was written."""
    try:
        table = pq.read_table(part, columns=columns, schema=SCHEMA)
        sizes = pc.list_value_length(table["embedding"]).unique() if "embedding" in table.column_names else [0]
        if not len(table) or len(sizes) != 1 or any(column.null_count for column in table.columns):
            raise ValueError("it is empty, or has nulls or embeddings of several sizes")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{part}: damaged: {shortened(error)}; remove it to compute it again") from error
    return table


def _write(path: Path, content: Any) -> None:
    """Writes a file atomically."""
    with atomic_write(path) as part:
        part.write_bytes(content)
