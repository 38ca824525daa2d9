"""The Parquet tables of a dataset folder: what is in each column, read with checks and written atomically."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from avsa_fast.errors import UserError


def _schema(columns: dict[str, pa.DataType]) -> pa.Schema:
    return pa.schema(list(columns.items()))


# One row a clip. Where its media cannot be read the numbers are null; state is "ok" or the reason in one line.
INDEX = _schema(
    {
        "name": pa.string(),
        "seconds": pa.float64(),  # of video and sound together: the shorter one
        "fps": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "rate": pa.int32(),  # Hz
        "channels": pa.int32(),  # as decoded
        "channel_map": pa.list_(pa.int32()),  # decoded channels in ACN order; empty: no direction in the sound
        "spatial_validity": pa.float32(),  # E_xyz / E_w below 4 kHz; null for silence and for sound without direction
        "split": pa.string(),  # "train" or "test"
        "state": pa.string(),
    }
)

# One row an object in a frame. Angles and angular sizes in radians, time in seconds from the file's start.
DETECTIONS = _schema(
    {
        "name": pa.string(),
        "time": pa.float64(),
        "azimuth": pa.float32(),
        "elevation": pa.float32(),
        "width": pa.float32(),
        "height": pa.float32(),
        "class": pa.string(),
        "score": pa.float32(),
    }
)

# One row a source and time, in scenes made by avsa_fast.scenes.
TRUTH = _schema(
    {
        "name": pa.string(),
        "time": pa.float64(),
        "source": pa.int32(),
        "class": pa.string(),
        "azimuth": pa.float32(),
        "elevation": pa.float32(),
        "gain": pa.float32(),
    }
)

MAX_ROWS = 100_000_000


def write_table(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Writes rows to a Parquet file, by a rename, so that no reader ever sees half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_table(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """Rows of a Parquet file that has at least the schema's columns.

    Raises UserError naming the file where it is unreadable, lacks a column or holds one of another type.
    """
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise UserError(f"{path}: {file.metadata.num_rows} rows are more than the {MAX_ROWS} that are read")
        missing = [name for name in schema.names if name not in file.schema_arrow.names]
        if missing:
            raise UserError(f"{path}: no column {missing[0]!r}; expected the columns {', '.join(schema.names)}")
        rows: list[dict[str, Any]] = file.read(columns=schema.names).cast(schema).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable table: {error}") from error
    return rows
