"""Where embeddings are kept while they are made: small Parquet parts, each whole or not there, joined at the end.

A process that is killed, however hard, leaves whole parts behind; the next one with the same choices makes the rest.
"""

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from avsa_fast.errors import UserError

COLUMNS = {
    "file": pa.string(),
    "modality": pa.string(),  # "video" or "audio"
    "time": pa.float64(),  # of the window's middle, seconds from the file's start
    "azimuth": pa.float32(),  # radians
    "elevation": pa.float32(),
    "embedding": pa.list_(pa.float32()),
}
SCHEMA = pa.schema(list(COLUMNS.items()))


class Parts:
    """The folder OUT.parts beside a result that is being made."""

    def __init__(self, out: Path, choices: dict[str, Any]) -> None:
        """Goes on with what is there.

        Raises UserError where it was begun with other choices, or OUT cannot be written.
        """
        self.out, self.folder = out, out.with_name(f"{out.name}.parts")
        if out.suffix not in (".parquet", ".npy"):
            raise UserError(f"--out {out}: must end in .parquet or .npy, or be - for JSON lines")
        if out.exists():
            raise UserError(f"--out {out} exists already; remove it, or name another")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            known = self.folder / "choices.json"
            if not known.exists():
                _write(known, json.dumps(choices).encode())
            elif json.loads(known.read_text(encoding="utf-8")) != choices:
                raise UserError(f"{self.folder} was begun with other files or options; remove it, or repeat them")
        except (OSError, ValueError) as error:
            raise UserError(f"--out {out}: cannot go on with {self.folder}: {error}") from error

    def has(self, name: str) -> bool:
        return self._path(name).exists()

    def add(self, name: str, file: str, modality: str, times: list[float], looks: Tensor, embeddings: Tensor) -> None:
        """Writes a part: embeddings [n, K, E] of n times in K directions [K, 2]."""
        n, K, _ = embeddings.shape
        rows = {
            "file": [file] * (n * K),
            "modality": [modality] * (n * K),
            "time": np.repeat(times, K),
            "azimuth": np.tile(looks[:, 0].numpy(), n),
            "elevation": np.tile(looks[:, 1].numpy(), n),
            "embedding": list(embeddings.flatten(0, 1).numpy()),
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(rows, schema=SCHEMA), sink)
        _write(self._path(name), sink.getvalue())

    def join(self) -> int:
        """Makes the result of all parts in the order of their names, and removes them. Returns the number of rows."""
        parts = sorted(self.folder.glob("*.parquet"))
        if not parts:
            shutil.rmtree(self.folder)
            raise UserError("no embedding was made: no file could be read")
        rows = sum(pq.read_metadata(part).num_rows for part in parts)
        half = self.out.with_name(f".{self.out.name}.{os.getpid()}.part")
        try:
            if self.out.suffix == ".parquet":
                with pq.ParquetWriter(half, SCHEMA) as writer:
                    for table in _tables(parts):
                        writer.write_table(table)
            else:
                self._join_array(parts, rows, half)
            os.replace(half, self.out)
        finally:
            half.unlink(missing_ok=True)
        shutil.rmtree(self.folder)
        return rows

    def _join_array(self, parts: list[Path], rows: int, half: Path) -> None:
        """float32 [rows, E], and a CSV file of the same name with what each row is of."""
        widths = {len(pq.read_table(part, columns=["embedding"])["embedding"][0]) for part in parts}
        if len(widths) > 1:
            raise UserError(
                f"--out {self.out}: embeddings of {min(widths)} and of {max(widths)} values do not fit one array; "
                "name one --modality, or write .parquet"
            )
        (width,) = widths
        done = 0
        with half.open("wb") as array, self.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as names:
            np.lib.format.write_array_header_1_0(
                array, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            )
            writer = csv.writer(names)
            writer.writerow(list(COLUMNS)[:-1])
            for table in _tables(parts):
                array.write(table["embedding"].combine_chunks().flatten().to_numpy().astype("<f4").tobytes())
                writer.writerows(zip(*(table[name].to_pylist() for name in list(COLUMNS)[:-1]), strict=True))
                done += len(table)
        assert done == rows

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"


def _tables(parts: list[Path]) -> Iterator[pa.Table]:
    for part in parts:
        yield pq.read_table(part, schema=SCHEMA)


def _write(path: Path, content: Any) -> None:
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    half.write_bytes(content)
    os.replace(half, path)
