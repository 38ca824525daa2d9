"""Descriptions as rows of a prepared dataset's index, and back."""

from dataclasses import replace
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from avsa_fast.errors import UserError

from .channels import Gains, SoundLayout, to_ambisonic
from .container import MAX_HEIGHT, MAX_WIDTH
from .describe import Description, Inspection, read_metadata, synchronised
from .measures import measure_sound
from .projection import PROJECTIONS
from .spherical_metadata import VideoGeometry
from .tables import INDEX
from .tracks import (
    MAX_CHANNELS,
    MAX_RATE,
    MAX_SECONDS,
    MIN_RATE,
    SoundTrack,
    Tracks,
    VideoTrack,
    find_tracks,
)
from .validity import silent_channels

TRACK_COLUMNS = ("stream", "seconds", "start", "zero")  # of both tracks, with "video_" or "sound_" before the name
VIDEO_COLUMNS = ("fps", "width", "height", "turns")
SOUND_COLUMNS = ("rate", "channels", "codec", "layout", "first_block", "block")
MAX_STREAMS, MAX_STAMP, MAX_BLOCK = 1000, 1e9, 10_000_000  # tracks of a file, seconds, samples
# Least and greatest values of columns.
LIMITS: dict[str, tuple[float, float]] = {
    "seconds": (1e-6, MAX_SECONDS),
    **{f"{kind}_stream": (0, MAX_STREAMS) for kind in ("video", "sound")},
    "video_seconds": (1e-6, MAX_SECONDS),
    "sound_seconds": (1e-6, MAX_STAMP),
    **{f"{kind}_start": (-MAX_STAMP, MAX_STAMP) for kind in ("video", "sound")},
    **{f"{kind}_zero": (0, MAX_STAMP) for kind in ("video", "sound")},
    "fps": (1e-6, 1e6),
    "width": (1, max(MAX_WIDTH, MAX_HEIGHT)),
    "height": (1, max(MAX_WIDTH, MAX_HEIGHT)),
    "turns": (0, 3),
    "rate": (MIN_RATE, MAX_RATE),
    "channels": (1, MAX_CHANNELS),
    "first_block": (0, MAX_BLOCK),
    "block": (0, MAX_BLOCK),
}
# What is needed to read a clip, as a schema.
READING = pa.schema(
    [
        INDEX.field(name)
        for name in (
            "name", "seconds", "split", "state", "projection", "projection_evidence", "yaw", "pitch", "roll",
            "channel_map", "gains", "channel_evidence", "notes",
            *(f"{kind}_{column}" for kind in ("video", "sound") for column in TRACK_COLUMNS),
            *VIDEO_COLUMNS, *SOUND_COLUMNS,
        )
    ]
)  # fmt: skip


def index_row(name: str, description: Description) -> dict[str, Any]:
    """Converts the description of a clip with video and sound to a row of the index.

    Args:
        name: Name of the clip.
        description: Its description.

    Returns:
        The clip's row of index.parquet, with state "ok"; columns that a description does not determine are None.
    """
    video, sound, layout, geometry = description.video, description.sound, description.layout, description.geometry
    assert video is not None
    assert sound is not None
    is_posed = geometry.projection is not None
    return dict.fromkeys(INDEX.names) | {
        "name": name,
        "seconds": description.end,
        "offset": (sound.start - sound.zero) - (video.start - video.zero),
        "projection": description.projection,
        "projection_evidence": description.projection_evidence,
        "yaw": geometry.yaw if is_posed else None,
        "pitch": geometry.pitch if is_posed else None,
        "roll": geometry.roll if is_posed else None,
        "channel_map": list(layout.channel_map),
        "gains": layout.gains,
        "channel_evidence": layout.evidence,
        "notes": list(description.notes),
        "state": "ok",
        **{f"video_{column}": getattr(video, column) for column in TRACK_COLUMNS},
        **{column: getattr(video, column) for column in VIDEO_COLUMNS},
        **{f"sound_{column}": getattr(sound, column) for column in TRACK_COLUMNS},
        **{column: getattr(sound, column) for column in SOUND_COLUMNS},
    }


def inspected_row(name: str, inspection: Inspection) -> dict[str, Any]:
    """Converts the inspection of a clip with video and sound to a row of the index, with measures of its sound.

    Args:
        name: Name of the clip.
        inspection: Its description and what was decoded for it.

    Returns:
        The clip's row of index.parquet, with state "ok" and no split.
    """
    description, overview = inspection.description, inspection.overview
    assert description.sound is not None
    assert overview is not None
    layout, sound = description.layout, description.sound
    scene = to_ambisonic(overview, layout.channel_map, layout.gains)
    return (
        index_row(name, description)
        | {"silent_channels": silent_channels(overview)}
        | measure_sound(overview, layout.channel_map, scene, sound.rate, sound.seconds)
    )


def description_of(row: dict[str, Any], video: Path, sound: Path) -> Description:
    """Converts a row of the index to the description of its clip.

    Args:
        row: Row of index.parquet with the columns of READING. Those of tracks may be null, as in tables from other
            tools; the files are then inspected.
        video: Video file.
        sound: Sound file.

    Returns:
        The description.

    Raises:
        UserError: A value of the row is not possible, or a file must be inspected, and it is missing or unreadable.
    """
    _check(row)
    layout = SoundLayout(tuple(row["channel_map"] or ()), row["gains"] or "sn3d", row["channel_evidence"] or "")
    yaw, pitch, roll = (row[angle] or 0.0 for angle in ("yaw", "pitch", "roll"))
    description = Description(
        projection=row["projection"] or PROJECTIONS[0],
        projection_evidence=row["projection_evidence"] or "",
        geometry=VideoGeometry(None, None, yaw, pitch, roll),
        layout=layout,
        notes=tuple(row["notes"] or ()),
    )
    if row["video_stream"] is None or row["sound_stream"] is None:
        pictured = _inspected(video, "video").video
        heard = _inspected(sound, "sound").sound
        return synchronised(replace(description, video=pictured, sound=heard))
    return replace(
        description,
        video=VideoTrack(video, **_track(row, "video", VIDEO_COLUMNS)),
        sound=SoundTrack(sound, **_track(row, "sound", SOUND_COLUMNS)),
    )


def _check(row: dict[str, Any]) -> None:
    """Raises UserError if a value of a row is not possible."""
    has_tracks = row["video_stream"] is not None and row["sound_stream"] is not None
    problems = [column for column, limits in LIMITS.items() if column == "seconds" or has_tracks
                if not _is_within(row[column], limits)]  # fmt: skip
    channels = row["channel_map"] or []
    if (
        len(channels) not in (0, 4)
        or len(set(channels)) != len(channels)
        or not all(_is_within(c, (0, MAX_CHANNELS - 1)) for c in channels)
    ):
        problems.append("channel_map")
    problems += [
        column for column, known in (("projection", PROJECTIONS), ("gains", get_args(Gains)))
        if row[column] is not None and row[column] not in known
    ]  # fmt: skip
    if has_tracks and not problems:
        problems += [
            f"{kind}_zero" for kind in ("video", "sound") if row[f"{kind}_zero"] > max(row[f"{kind}_start"], 0.0)
        ]
        problems += [] if row["codec"] else ["codec"]
    if problems:
        raise UserError(
            f"{row['name']}: index.parquet has {problems[0]} {row[problems[0]]!r}, which is not possible; delete that "
            "file to rebuild it"
        )


def _is_within(value: Any, limits: tuple[float, float]) -> bool:
    """Whether a value is a finite number within limits."""
    return isinstance(value, int | float) and isfinite(value) and limits[0] <= value <= limits[1]


def _track(row: dict[str, Any], kind: str, columns: tuple[str, ...]) -> dict[str, Any]:
    """Properties of a track from a row."""
    common = {column: row[f"{kind}_{column}"] for column in TRACK_COLUMNS}
    return common | {column: row[column] for column in columns}


@lru_cache(maxsize=4096)
def _inspected(path: Path, kind: Literal["video", "sound"]) -> Tracks:
    """The track of a kind in a file."""
    return find_tracks(path, read_metadata(path), video=kind == "video", sound=kind == "sound")
