"""Report page of a prepared dataset: its content, where objects and sound are, and which clips were refused and why."""

from collections import Counter
from collections.abc import Sequence
from math import degrees, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avsa_fast.data.directions import MIN_SCORE
from avsa_fast.data.index import Index
from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.spans import ClipSpan, span_of
from avsa_fast.data.table_rules import STATES
from avsa_fast.data.tables import DETECTIONS, INDEX, TRUTH, read_table
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.errors import UserError
from avsa_fast.maps import intensity_map
from avsa_fast.prepare import PrepareOptions, prepare_folder
from avsa_fast.progress import show_progress
from avsa_fast.terminal import notice

from .clips import by_clip, clip_content, rows_at, spread
from .media import heat_png, rescaled
from .page import render

MAX_VIEWS = 6  # maximum number of views per clip, at the detections with the highest scores
SIZE = (45, 90)  # rows and columns of the maps of directions
MAX_SOUND_CLIPS = 60  # maximum number of clips in the map of sound
MAX_CLASSES = 25  # number of classes shown, the most frequent ones


def dataset_page(folder: Path, *, clips: int) -> str:
    """Renders the report of a dataset. Creates its index if it is missing, but does not run object detection.

    Args:
        folder: Dataset folder.
        clips: Maximum number of clips shown, evenly spread over the usable ones.

    Returns:
        The HTML page.

    Raises:
        UserError: If there is no readable index or no usable clip.
    """
    prepare_folder(folder, PrepareOptions(detector=None))
    index = read_table(folder / "index.parquet", INDEX)
    detections = read_table(folder / "detections.parquet", DETECTIONS) if _has(folder, "detections") else []
    detections = [row for row in detections if row["score"] >= MIN_SCORE]
    truth = read_table(folder / "truth.parquet", TRUTH) if _has(folder, "truth") else []
    rows = by_clip(detections or truth)
    usable = [span_of(clip, row) for clip, row in Index(folder)]
    shown: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    with show_progress("drawing clips") as progress:
        for number, source in enumerate(spread(usable, clips)):
            moment = (source.begin + source.end) / 2
            objects = rows_at(rows[source.name], moment)
            directions = [(row["azimuth"], row["elevation"]) for row in objects[:MAX_VIEWS]] or [(0.0, 0.0)]
            try:
                shown.append(clip_content(source, moment, objects, torch.tensor(directions), SampleConfig()))
            except UserError as error:
                failures[source.name] = str(error)
                notice(f"skipped {source.name}: {error}")
            progress(number + 1, min(clips, len(usable)))
        sound_map = _sound_map(usable)
    return render(
        "dataset.html",
        title=folder.resolve().name,
        facts=_facts(index, detections, folder),
        states=Counter(row["state"] for row in index).most_common(),
        meanings=STATES,
        refused=[(row["name"], f"{row['state']}: {row['reason']}") for row in index if row["state"] != "ok"]
        + list(failures.items()),
        charts=_charts(index, detections or truth),
        objects_map=_directions_map(detections or truth),
        sound_map=sound_map,
        clips=shown,
        has_objects=bool(detections or truth),
    )


def _has(folder: Path, table: str) -> bool:
    """Whether the dataset has a table."""
    return (folder / f"{table}.parquet").exists()


def _facts(index: Sequence[dict[str, Any]], detections: Sequence[dict[str, Any]], folder: Path) -> list[str]:
    """Summary of the dataset in a few phrases."""
    usable = [row for row in index if row["state"] == "ok"]
    seconds = sum(row["seconds"] for row in usable)
    directional = sum(bool(row["channel_map"]) for row in usable)
    splits = Counter(row["split"] for row in usable)
    with_objects = {row["name"] for row in detections}
    return [
        f"{len(usable)} of {len(index)} clips usable",
        _duration(seconds),
        f"{directional} with directional sound",
        ", ".join(f"{count} {split}" for split, count in sorted(splits.items(), reverse=True)),
        f"objects found in {len(with_objects)} clips"
        if _has(folder, "detections")
        else "no detections.parquet: objects were not looked for",
    ]


def _duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _charts(index: Sequence[dict[str, Any]], objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bar charts: [{title, x, y, axis}]."""
    usable = [row for row in index if row["state"] == "ok"]
    charts = []
    validity = [row["spatial_validity"] for row in usable if row["spatial_validity"] is not None]
    if validity:
        charts.append(_histogram("Spatial validity", np.clip(validity, 0, 3), 0, 3, 30, "E_xyz / E_w; 1 is ideal"))
    if objects:
        classes = Counter(row["class"] for row in objects).most_common(MAX_CLASSES)
        charts.append(
            {"title": "Objects by class", "x": [c for c, _ in classes], "y": [n for _, n in classes], "axis": ""}
        )
        azimuths = [degrees(row["azimuth"]) for row in objects]
        charts.append(_histogram("Objects by azimuth", azimuths, -180, 180, 36, "degrees, left positive"))
        elevations = [degrees(row["elevation"]) for row in objects]
        charts.append(_histogram("Objects by elevation", elevations, -90, 90, 36, "degrees, up positive"))
        frames = Counter((row["name"], row["time"]) for row in objects)
        counts = Counter(frames.values())
        number = list(range(1, max(counts) + 1))
        title = "Objects in a frame that has any"
        charts.append({"title": title, "x": number, "y": [counts[n] for n in number], "axis": "objects"})
    return charts


def _histogram(title: str, values: Any, low: float, high: float, bins: int, axis: str) -> dict[str, Any]:
    """Bar chart of a histogram."""
    counts, edges = np.histogram(values, bins, (low, high))
    centres = ((edges[1:] + edges[:-1]) / 2).round(3).tolist()
    return {"title": title, "x": centres, "y": counts.tolist(), "axis": axis}


def _directions_map(objects: Sequence[dict[str, Any]]) -> str | None:
    """Map of how often objects are centred in each direction of the ERP frame, as a data URI."""
    if not objects:
        return None
    row = ((0.5 - torch.tensor([o["elevation"] for o in objects]) / pi) * SIZE[0]).long().clamp(0, SIZE[0] - 1)
    column = ((0.5 - torch.tensor([o["azimuth"] for o in objects]) / (2 * pi)) * SIZE[1]).long() % SIZE[1]
    counts = torch.bincount(row * SIZE[1] + column, minlength=SIZE[0] * SIZE[1]).reshape(SIZE).float()
    return heat_png(rescaled(_blurred(counts)) ** 0.5, "viridis", opaque=True)


def _blurred(heat: Tensor) -> Tensor:
    """A map smoothed by a 3 x 3 box filter that wraps around in azimuth."""
    padded = torch.nn.functional.pad(heat[None, None], (1, 1, 0, 0), mode="circular")
    padded = torch.nn.functional.pad(padded, (0, 0, 1, 1), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, 3, stride=1)[0, 0]


def _sound_map(sources: Sequence[ClipSpan]) -> str | None:
    """Mean intensity map over clips, from one second in the middle of each, as a data URI."""
    maps = []
    for source in spread([source for source in sources if source.is_directional], MAX_SOUND_CLIPS):
        try:
            sound = source.reader.scene((source.begin + source.end) / 2)
        except UserError:
            continue  # locally damaged; clips that cannot be used at all are reported by the index
        maps.append(intensity_map(sound, SAMPLE_RATE, SIZE))
    return heat_png(rescaled(torch.stack(maps).mean(dim=0)) ** 0.5, "inferno", opaque=True) if maps else None
