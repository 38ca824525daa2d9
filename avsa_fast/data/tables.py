"""The Parquet tables of a dataset folder: what is in each column, read with checks and written atomically."""

import gc
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from avsa_fast.errors import UserError


def _schema(columns: dict[str, pa.DataType]) -> pa.Schema:
    return pa.schema(list(columns.items()))


# Why a clip can or cannot be used, in a word; the column `reason` says it in a line.
STATES = {
    "ok": "usable; for spatial training if its channel map is not empty",
    "ambiguous": "sound whose channels could be in more than one order, or a pose; the reason says how to settle it",
    "refused": "readable, but not what can be used: no 360° picture, fisheye, picture and sound that do not match",
    "incomplete": "a video without sound, or a sound without video",
    "unreadable": "no media, empty, truncated or damaged",
    "costly": "took more memory or time than a clip may",
}

# One row a clip. Where its media cannot be read the numbers are null.
INDEX = _schema(
    {
        "name": pa.string(),
        "seconds": pa.float64(),  # of video and sound together: the shorter one
        "offset": pa.float64(),  # seconds from the first frame to the first sample, in the file's own times
        "fps": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "projection": pa.string(),  # of the picture, as ops.gnomonic's `source`; null: erp
        "yaw": pa.float32(),  # pose of the picture that the file states, radians; crops are in the picture's own axes
        "pitch": pa.float32(),
        "roll": pa.float32(),
        "rate": pa.int32(),  # Hz
        "channels": pa.int32(),  # as decoded
        "channel_map": pa.list_(pa.int32()),  # decoded channels in ACN order; empty: no direction in the sound
        "spatial_validity": pa.float32(),  # E_xyz / E_w below 4 kHz; null for silence and for sound without direction
        "silent_channels": pa.list_(pa.int32()),  # decoded channels without sound
        "arrival_share": pa.float32(),  # of windows of .1 s in which sound from one direction dominates
        "arrival_azimuth": pa.float32(),  # mean direction of arrival in those windows, radians; null: there are none
        "arrival_elevation": pa.float32(),
        "arrival_spread": pa.float32(),  # median angle of theirs from it
        "split": pa.string(),  # "train" or "test"
        "state": pa.string(),  # one of STATES
        "reason": pa.string(),
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
        "track": pa.int32(),  # the same for one object of a clip over time
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

# Columns that tables made elsewhere need not have; null there.
OPTIONAL = {"offset", "projection", "yaw", "pitch", "roll", "reason", "track", "silent_channels"}
OPTIONAL |= {"arrival_share", "arrival_azimuth", "arrival_elevation", "arrival_spread"}
GROUP = 100_000  # rows written at a time
MAX_ROWS = 100_000_000


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keeps the garbage collector from looking through a million new objects, none of them garbage, time and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def write_table(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> None:
    """Writes rows to a Parquet file, by a rename, so that no reader ever sees half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    rows = iter(rows)
    try:
        with pq.ParquetWriter(part, schema) as writer:
            while group := list(islice(rows, GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_table(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """Rows of a Parquet file; raises as `read_columns` does."""
    columns = read_columns(path, schema).to_pydict()
    with collector_paused():
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_columns(path: Path, schema: pa.Schema) -> pa.Table:
    """The schema's columns of a Parquet file that has at least those that are not OPTIONAL.

    Raises UserError where the file is unreadable, lacks a column or holds one of another type, naming it.
    """
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise UserError(f"{path}: {file.metadata.num_rows} rows are more than the {MAX_ROWS} that are read")
        there = set(file.schema_arrow.names)
        missing = [name for name in schema.names if name not in there]
        if needed := [name for name in missing if name not in OPTIONAL]:
            raise UserError(f"{path}: no column {needed[0]!r}; expected the columns {', '.join(schema.names)}")
        table = file.read(columns=[name for name in schema.names if name in there])
        for name in missing:
            table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
        return table.select(schema.names).cast(schema)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable table: {error}") from error
