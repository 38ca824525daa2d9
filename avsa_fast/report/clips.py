"""Page content of a clip: pictures and maps of one moment, and an excerpt for interactive 360° playback."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import degrees, radians
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops
from avsa_fast.data.directions import MIN_SCORE
from avsa_fast.data.encode_video import FPS
from avsa_fast.data.projection import to_erp
from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.spans import ClipSpan
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.maps import intensity_map

from .media import flac, heat_png, jpeg, mp4

EXCERPT = 4.0  # seconds: keeps 12 clips below 15 MB, even with noise that FLAC cannot compress
HEIGHT = 480  # maximum height of the excerpt's frames and of the still, in pixels
CROP = 160  # height and width of a view, in pixels
BOXES = 24  # maximum number of detections drawn
SAME = radians(0.01)  # tolerance: a view of a detection has its direction up to float32 rounding

RowsByClip = dict[str, list[dict[str, Any]]]


def spread(items: Sequence[ClipSpan], count: int) -> list[ClipSpan]:
    """Selects evenly spaced items.

    Args:
        items: Items to select from.
        count: Maximum number of items.

    Returns:
        The selected items in their order.
    """
    indices = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[i] for i in indices]


def by_clip(rows: Iterable[dict[str, Any]]) -> RowsByClip:
    """Groups rows of a table by clip.

    Args:
        rows: Rows of detections.parquet or truth.parquet.

    Returns:
        Rows by the name of the clip; a missing name gives an empty list.
    """
    grouped: RowsByClip = defaultdict(list)
    for row in rows:
        grouped[row["name"]].append(row)
    return grouped


def rows_at(rows: Sequence[dict[str, Any]], time: float) -> list[dict[str, Any]]:
    """Selects the objects nearest to a moment.

    Args:
        rows: Rows of one clip.
        time: Moment in seconds from the start of the clip.

    Returns:
        At most BOXES rows of the nearest annotated time, by falling score, without scores below MIN_SCORE.
    """
    rows = [row for row in rows if row.get("score", 1.0) >= MIN_SCORE]
    nearest = min((row["time"] for row in rows), key=lambda t: abs(t - time), default=0.0)
    return sorted((row for row in rows if row["time"] == nearest), key=lambda row: -row.get("score", 1.0))[:BOXES]


def clip_content(
    source: ClipSpan, moment: float, objects: Sequence[dict[str, Any]], directions: Tensor, config: SampleConfig
) -> dict[str, Any]:
    """Prepares the page content of a clip.

    Args:
        source: Clip.
        moment: Time of the still, the views and the energy map, in seconds.
        objects: Rows of the objects to draw.
        directions: float32 [K, 2], azimuth and elevation of the views in radians.
        config: Provides the frame rate, the field of view and the duration of the sound for the energy map.

    Returns:
        Content for the page template, with media as data URIs.

    Raises:
        UserError: If the clip cannot be read.
    """
    still = _frames(source, moment, 1, config.fps)
    K = len(directions)
    size = (CROP, CROP)
    fov = radians(config.held_out_fov)
    crops = ops.gnomonic(still[None], directions[None], fov, size, dtype=torch.uint8)[0, :, :, 0]  # [K, 3, h, w]
    length = min(EXCERPT, source.end - source.begin)
    centre = min(max(moment, source.begin + length / 2), source.end - length / 2)
    around = source.reader.scene(moment, config.seconds)
    excerpt = source.reader.scene(centre, length)
    frames = _frames(source, centre, max(1, round(length * FPS)), FPS)
    energy = intensity_map(around, SAMPLE_RATE) if source.is_directional else None
    return {
        "name": source.name,
        "moment": moment,
        "still": jpeg(still[0]),
        "size": [still.shape[2], still.shape[1]],
        "boxes": [_box(row) for row in objects],
        "views": [_view(directions[k].tolist(), crops[k], objects) for k in range(K)],
        "energy": None if energy is None else heat_png(energy.sqrt(), "inferno"),
        "spatial": source.is_directional,
        "media": {"video": mp4(frames), "sound": flac(_audible(excerpt), SAMPLE_RATE), "seconds": length},
    }


def _frames(source: ClipSpan, centre: float, count: int, fps: float) -> Tensor:
    """ERP frames, uint8 [count, H, W, 3], around a moment."""
    return to_erp(source.reader.frames(centre, count, fps, HEIGHT), source.projection)


def _audible(sound: Tensor) -> Tensor:
    """Normalises sound to a peak of half of full scale; near silence is amplified at most 500 times."""
    return sound * (0.5 / sound.abs().max().clamp_min(1e-3))


def _view(direction: list[float], crop: Tensor, objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Page content of a view, labelled with the object in its direction, if any."""
    label, score = None, None
    for row in objects:
        if np.hypot(row["azimuth"] - direction[0], row["elevation"] - direction[1]) < SAME:
            label, score = row["class"], row.get("score")
            break
    return {
        "label": label,
        "score": score,
        "azimuth": round(degrees(direction[0])),
        "elevation": round(degrees(direction[1])),
        "crop": jpeg(crop.permute(1, 2, 0)),
    }


def _box(row: dict[str, Any]) -> dict[str, Any]:
    """Page content of a detection, in degrees; left and top are measured from the corner of the ERP frame."""
    width, height = degrees(row.get("width", radians(6))), degrees(row.get("height", radians(6)))
    left, top = 180 - degrees(row["azimuth"]) - width / 2, 90 - degrees(row["elevation"]) - height / 2
    angles = {"azimuth": degrees(row["azimuth"]), "elevation": degrees(row["elevation"])}
    box = {"left": left % 360, "top": top, "width": width, "height": height}
    return {"label": row["class"], "score": row.get("score"), **angles, **box}
