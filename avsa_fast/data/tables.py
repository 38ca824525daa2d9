"""The Parquet tables of a dataset folder: schemas, validated reading and atomic writing."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from avsa_fast.errors import UserError
from avsa_fast.files import atomic_write


def _schema(columns: dict[str, pa.DataType]) -> pa.Schema:
    """Schema from column names and types."""
    return pa.schema(list(columns.items()))


# Values of the column `state`: whether a clip can be used. The column `reason` holds the details.
STATES = {
    "ok": "usable; for spatial training if its channel map is not empty",
    "ambiguous": "sound whose channels could be in more than one order, or a pose; the reason says how to resolve it",
    "refused": "readable but not usable: not a 360° video, fisheye, or video and sound that do not match",
    "incomplete": "a video without sound, or a sound without video",
    "unreadable": "not a media file, empty, truncated or damaged",
    "costly": "exceeded the memory or time limit of a clip",
}

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
        "split": pa.string(),  # "train" or "test"
        "state": pa.string(),  # a key of STATES
        "reason": pa.string(),
        **_MEASURES,
    }
)

# One row per object and frame. Angles and angular sizes in radians, time in seconds from the start of the file.
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
        "track": pa.int32(),  # identifies an object of a clip over time
    }
)

# Ground truth of scenes rendered by avsa_fast.scenes: one row per source and time.
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

# Columns that tables from other tools may omit; they are read as null.
OPTIONAL = {"offset", "projection", "yaw", "pitch", "roll", "reason", "track", "silent_channels"}
OPTIONAL |= {f"{kind}_{column}" for kind in ("video", "sound") for column in ("stream", "seconds", "start", "zero")}
OPTIONAL |= {"turns", "codec", "layout", "first_block", "block", "gains", "notes"}
OPTIONAL |= {"projection_evidence", "channel_evidence"}
OPTIONAL |= {"arrival_share", "arrival_azimuth", "arrival_elevation", "arrival_spread", *_MEASURES}
ROWS_PER_GROUP = 100_000  # when writing
MAX_ROWS = 100_000_000


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
        schema: Columns to read. Columns in OPTIONAL that the file lacks are filled with null.

    Returns:
        A table with exactly this schema.

    Raises:
        UserError: The file is unreadable, has too many rows, lacks a required column, or the type of one differs.
    """
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise UserError(f"{path}: {file.metadata.num_rows} rows; at most {MAX_ROWS} are supported")
        present = set(file.schema_arrow.names)
        missing = [name for name in schema.names if name not in present]
        if needed := [name for name in missing if name not in OPTIONAL]:
            raise UserError(f"{path}: no column {needed[0]!r}; expected the columns {', '.join(schema.names)}")
        table = file.read(columns=[name for name in schema.names if name in present])
        for name in missing:
            table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
        return table.select(schema.names).cast(schema)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable table: {error}") from error
