"""Descriptions as rows of a prepared dataset's index, and back."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from .channels import SoundLayout, to_ambisonic
from .describe import Description, Inspection, read_metadata, synchronised
from .measures import measure_sound
from .projection import PROJECTIONS
from .spherical_metadata import VideoGeometry
from .tables import INDEX
from .tracks import SoundTrack, Tracks, VideoTrack, find_tracks
from .validity import silent_channels

TRACK_COLUMNS = ("stream", "seconds", "start", "zero")  # of both tracks, with "video_" or "sound_" before the name
VIDEO_COLUMNS = ("fps", "width", "height", "turns")
SOUND_COLUMNS = ("rate", "channels", "codec", "layout", "first_block", "block")
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
    ],
    metadata=INDEX.metadata,
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
        row: Row of index.parquet with the columns of READING, as `read_table` returns it. Those of tracks may be null,
            as in tables from other tools; the files are then inspected.
        video: Video file.
        sound: Sound file.

    Returns:
        The description.

    Raises:
        UserError: A file must be inspected, and it is missing or unreadable.
    """
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


def _track(row: dict[str, Any], kind: str, columns: tuple[str, ...]) -> dict[str, Any]:
    """Properties of a track from a row."""
    common = {column: row[f"{kind}_{column}"] for column in TRACK_COLUMNS}
    return common | {column: row[column] for column in columns}


@lru_cache(maxsize=4096)
def _inspected(path: Path, kind: Literal["video", "sound"]) -> Tracks:
    """The track of a kind in a file."""
    return find_tracks(path, read_metadata(path), video=kind == "video", sound=kind == "sound")
