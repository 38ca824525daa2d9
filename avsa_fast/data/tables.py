"""The Parquet tables of a dataset folder: schemas, validated reading and atomic writing."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from avsa_fast.bounds import shortened
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_write

from .table_rules import check_values


def _schema(table: str, columns: dict[str, pa.DataType]) -> pa.Schema:
    """Schema from the name of a table, by which `table_rules` knows it, and its columns' names and types."""
    return pa.schema(list(columns.items()), metadata={"table": table})


# Measures of a clip that `prepare --check` judges. Null: not measured, or it does not apply. Lists of four: W, Y, Z, X.
_MEASURES = {
    "clipped": pa.list_(pa.float32()),  # share of samples in runs at full scale; per decoded channel without a map
    "levels": pa.list_(pa.float32()),  # dB relative to the sum of all four
    "high_levels": pa.list_(pa.float32()),  # the same above 500 Hz
    "low_correlation": pa.float32(),  # lowest of any two channels, 100 to 800 Hz
    "capsule_ratio": pa.float32(),  # energy of the tetrahedral differences to that of the sum; 1/9 for cardioids
    "wave_share": pa.float32(),  # share of frequencies in .1 s windows in which one wave dominates
    "wave_ratio": pa.float32(),  # E_xyz / E_w in those
    "w_misfits": pa.list_(pa.float32()),  # mean difference of a channel's share of a wave's energy from that of W
    "loud_ratio": pa.float32(),  # E_xyz / E_w, 300 to 3400 Hz, in the loudest third of the time
    "quiet_ratio": pa.float32(),  # the same in the quietest third
    "syllables": pa.float32(),  # share of 2 to 8 Hz in the modulation of what is in W only
    "moment_times": pa.list_(pa.float32()),  # seconds from the start of the file in which one direction dominates
    "moment_azimuths": pa.list_(pa.float32()),  # direction in each, radians
    "moment_elevations": pa.list_(pa.float32()),
    "picture_contrast": pa.float32(),  # standard deviation of the frame that varies most, levels of 255
    "picture_change": pa.float32(),  # largest change of a part of the picture, levels of 255
    "sound_print": pa.list_(pa.uint32()),  # 128 bits by which nearly equal sounds are found
    "picture_print": pa.list_(pa.uint32()),
}

# One row per clip. If its media cannot be read, the numbers are null.
INDEX = _schema(
    "index",
    {
        "name": pa.string(),
        "seconds": pa.float64(),  # until the video or the sound ends, whichever is shorter
        "offset": pa.float64(),  # seconds from the first frame to the first audio sample, by the files' timestamps
        "video_stream": pa.int32(),  # number of the video track in its file, also in the columns up to `turns`
        "video_seconds": pa.float64(),  # duration of the track
        "video_start": pa.float64(),  # timestamp of the first frame, seconds
        "video_zero": pa.float64(),  # timestamp from which times are counted, seconds
        "fps": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "turns": pa.int32(),  # quarter turns, counter-clockwise, from the stored to the displayed frames
        "projection": pa.string(),  # `source` of ops.gnomonic; null: erp
        "projection_evidence": pa.string(),  # what the projection was taken from
        "yaw": pa.float32(),  # declared pose of the video, radians; crops use the axes of the stored video, ignoring it
        "pitch": pa.float32(),
        "roll": pa.float32(),
        "sound_stream": pa.int32(),  # as for the video
        "sound_seconds": pa.float64(),
        "sound_start": pa.float64(),
        "sound_zero": pa.float64(),
        "rate": pa.int32(),  # Hz
        "channels": pa.int32(),  # as decoded
        "codec": pa.string(),  # FFmpeg's names of the codec and of the declared channel layout
        "layout": pa.string(),
        "first_block": pa.int32(),  # samples in the first block and in each other one, if timestamps are coarser
        "block": pa.int32(),
        "channel_map": pa.list_(pa.int32()),  # decoded channels in ACN order; empty: sound is not directional
        "gains": pa.string(),  # normalisation of these channels: sn3d, n3d or fuma; null: sn3d
        "channel_evidence": pa.string(),  # what the channel map and the gains were taken from
        "notes": pa.list_(pa.string()),  # one line for each track that is passed over, and other remarks
        "spatial_validity": pa.float32(),  # E_xyz / E_w below 4 kHz; null for silence and non-directional sound
        "silent_channels": pa.list_(pa.int32()),  # decoded channels without sound
        "arrival_share": pa.float32(),  # share of .1 s windows in which sound from one direction dominates
        "arrival_azimuth": pa.float32(),  # mean direction of arrival in those windows, radians; null: no such window
        "arrival_elevation": pa.float32(),
        "arrival_spread": pa.float32(),  # median angle between the windows' directions and the mean, radians
        "split": pa.string(),  # "train", "test" or "validation"
        "state": pa.string(),  # a key of table_rules.STATES
        "reason": pa.string(),
        **_MEASURES,
    },
)

# One row per object and frame. Angles and angular sizes in radians, time in seconds from the start of the file.
DETECTIONS = _schema(
    "detections",
    {
        "name": pa.string(),
        "time": pa.float64(),
        "azimuth": pa.float32(),
        "elevation": pa.float32(),
        "width": pa.float32(),
        "height": pa.float32(),
        "class": pa.string(),
        "score": pa.float32(),
        "track": pa.int32(),  # identifies an object of a clip over time
    },
)

# Ground truth of scenes rendered by avsa_fast.scenes: one row per source and time.
TRUTH = _schema(
    "truth",
    {
        "name": pa.string(),
        "time": pa.float64(),
        "source": pa.int32(),
        "class": pa.string(),
        "azimuth": pa.float32(),
        "elevation": pa.float32(),
        "gain": pa.float32(),
    },
)

# Columns that tables from other tools may omit; they are read as null.
OPTIONAL = {"offset", "projection", "yaw", "pitch", "roll", "reason", "track", "silent_channels"}
OPTIONAL |= {f"{kind}_{column}" for kind in ("video", "sound") for column in ("stream", "seconds", "start", "zero")}
OPTIONAL |= {"turns", "codec", "layout", "first_block", "block", "gains", "notes"}
OPTIONAL |= {"projection_evidence", "channel_evidence"}
OPTIONAL |= {"arrival_share", "arrival_azimuth", "arrival_elevation", "arrival_spread", *_MEASURES}
ROWS_PER_GROUP = 100_000  # when writing
MAX_ROWS = 10_000_000
MAX_BYTES = 2**29  # of the columns that are read, in memory


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pauses the garbage collector, which would repeatedly scan the many new objects while a table is converted."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def write_table(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> None:
    """Writes rows to a Parquet file, replacing it atomically.

    Args:
        path: Parquet file.
        rows: One dict per row, with the columns as keys.
        schema: Columns and their types.

    Raises:
        WriteError: It cannot be written; the old file is then unchanged.
    """
    rows = iter(rows)
    with atomic_write(path) as part, pq.ParquetWriter(part, schema) as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def require_table(data: Path, name: str) -> None:
    """Checks that a dataset folder has a table.

    Args:
        data: Dataset folder.
        name: File name of the table.

    Raises:
        UserError: It has none; the message names the command that creates it.
    """
    if not (data / name).exists():
        raise UserError(f"{data}: not prepared: no {name} in it; python -m avsa_fast.prepare {data} {data} creates it")


def read_table(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """Reads the columns of a schema from a Parquet file as one dict per row.

    Args:
        path: Parquet file.
        schema: Columns to read, as for `read_columns`.

    Returns:
        One dict per row, with the columns as keys.

    Raises:
        UserError: As for `read_columns`.
    """
    columns = read_columns(path, schema).to_pydict()
    with collector_paused():
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_columns(path: Path, schema: pa.Schema) -> pa.Table:
    """Reads the columns of a schema from a Parquet file.

    Args:
        path: Parquet file.
        schema: Columns to read: one of those above, or a part of it with its metadata. Columns in OPTIONAL that the
            file lacks are filled with null.

    Returns:
        A table with exactly this schema, whose values are possible.

    Raises:
        UserError: The file is unreadable or too large, lacks a required column or has one twice, the type of one
            differs, or a value is not possible (`table_rules`).
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: not a readable table: not a regular file")
        metadata = pq.read_metadata(path)
        texts = _check_size(path, metadata, schema)
        file = pq.ParquetFile(path, metadata=metadata, read_dictionary=texts)
        names = file.schema_arrow.names
        if needed := [name for name in schema.names if name not in names and name not in OPTIONAL]:
            raise UserError(f"{path}: no column {needed[0]!r}; expected the columns {', '.join(schema.names)}")
        if twice := [name for name in schema.names if names.count(name) > 1]:
            raise UserError(f"{path}: column {twice[0]!r} is there twice")
        table = file.read(columns=[name for name in schema.names if name in names])
        if (size := sum(map(_decoded_bytes, table.columns))) > MAX_BYTES:
            raise UserError(f"{path}: {size >> 20} MB; tables of at most {MAX_BYTES >> 20} MB are supported")
        for name in schema.names:
            if name not in names:
                table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
        table = table.select(schema.names).cast(schema)
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable table: {shortened(error)}") from error
    check_values(path, table)
    return table


def _check_size(path: Path, metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Checks that what a file says of its columns in a schema fits into memory; returns the paths of those of texts."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    if rows > MAX_ROWS:
        raise UserError(f"{path}: {rows} rows; at most {MAX_ROWS} are supported")
    size, texts = 0, set()
    for group in groups:
        for number in range(group.num_columns):
            column, place = group.column(number), metadata.schema.column(number).path
            if place.partition(".")[0] in schema.names:
                width = 8 if column.physical_type in ("INT64", "DOUBLE") else 4
                size += max(column.total_uncompressed_size, width * column.num_values)  # repeated values take no bytes
                if column.physical_type == "BYTE_ARRAY":
                    texts.add(place)
    if size > MAX_BYTES:
        raise UserError(f"{path}: {size >> 20} MB; tables of at most {MAX_BYTES >> 20} MB are supported")
    return sorted(texts)


def _decoded_bytes(column: pa.ChunkedArray) -> int:
    """Bytes of a column whose texts are repeated, not in a dictionary as they were read."""
    size = 0
    for chunk in column.chunks:
        values = chunk.values if pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type) else chunk
        if pa.types.is_dictionary(values.type):
            size += pc.sum(pc.binary_length(values.dictionary).take(values.indices)).as_py() or 0
        size += values.nbytes
    return size
