"""Summary of a prepared dataset, as tables on the terminal."""

from collections import Counter
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from avsa_fast.data.tables import DETECTIONS, INDEX, read_table
from avsa_fast.errors import UserError

VALID = 0.1  # maximum |E_xyz / E_w - 1| of a fully ambisonic recording, as in the paper
CLASSES = 8  # number of classes shown, the most frequent first
ROWS, COLUMNS = 6, 12  # bins of the histogram of directions: 30° each
SHADES = " ·░▒▓█"


def check(data: Path, console: Console | None = None) -> None:
    """Prints a summary of a dataset folder.

    Args:
        data: Dataset folder.
        console: Console to print to; by default a new one on stdout.

    Raises:
        UserError: The folder is not prepared, or its tables cannot be read.
    """
    index, detections = data / "index.parquet", data / "detections.parquet"
    if not index.exists():
        raise UserError(f"{index}: no such file; python -m avsa_fast.prepare SRC {data} creates it")
    console = console or Console()
    rows = read_table(index, INDEX)
    console.print(_clips(data, rows))
    usable = [row for row in rows if row["state"] == "ok"]
    if usable:
        console.print(_media(usable))
    if detections.exists():
        found = read_table(detections, DETECTIONS)
        console.print(_objects(found, len(usable)))
        console.print(_directions(found))
    reasons = [(row["name"], row["reason"]) for row in rows if row["state"] == "ambiguous"]
    for name, reason in reasons + [(row["name"], line) for row in usable if (line := _silent(row))]:
        console.print(f"{name}: {reason}", highlight=False, soft_wrap=True)


def _clips(data: Path, rows: list[dict[str, Any]]) -> Table:
    table = Table("state", "clips", "hours", "train", "test", title=f"{data}: {len(rows)} clips", title_justify="left")
    for state, count in sorted(Counter(row["state"] for row in rows).items(), key=lambda item: (item[0] != "ok", item)):
        these = [row for row in rows if row["state"] == state]
        hours = sum(row["seconds"] or 0 for row in these) / 3600
        splits = Counter(row["split"] for row in these)
        table.add_row(state, str(count), f"{hours:.2f}", str(splits["train"]), str(splits["test"]))
    return table


def _media(rows: list[dict[str, Any]]) -> Table:
    table = Table("of usable clips", "share", title="Sound and video", title_justify="left")
    directed = [row for row in rows if row["channel_map"]]
    ratios = [row["spatial_validity"] for row in directed if row["spatial_validity"] is not None]
    valid = sum(abs(ratio - 1) <= VALID for ratio in ratios)
    table.add_row("sound with direction", _share(len(directed), len(rows)))
    table.add_row(f"fully ambisonic (E_xyz / E_w within 1 ± {VALID:g})", _share(valid, len(rows)))
    if ratios:
        table.add_row("median E_xyz / E_w", f"{np.median(ratios):.2f}")
    silent = sum(_silent(row) is not None for row in directed)
    table.add_row("W, Y, Z or X silent", _share(silent, len(rows)))
    dominated = [row for row in directed if row["arrival_spread"] is not None]
    if dominated:
        share, spread = (np.median([row[f"arrival_{name}"] for row in dominated]) for name in ("share", "spread"))
        table.add_row("with dominant directions of arrival", _share(len(dominated), len(rows)))
        table.add_row("median share of windows with one", f"{share:.0%}")
        table.add_row("median angle from their mean", f"{np.degrees(spread):.0f}°")
    for name, count in Counter(row["projection"] or "erp" for row in rows).most_common():
        table.add_row(f"projection {name}", _share(count, len(rows)))
    posed = sum(any(row[angle] for angle in ("yaw", "pitch", "roll")) for row in rows)
    if posed:
        table.add_row("with a pose in its metadata", _share(posed, len(rows)))
    return table


def _silent(row: dict[str, Any]) -> str | None:
    """Returns a message that names the silent channels among W, Y, Z, X, or None."""
    silent = row["silent_channels"] or []
    names = [f"{name} (channel {c})" for name, c in zip("WYZX", row["channel_map"], strict=False) if c in silent]
    return f"no sound in {', '.join(names)}" if names else None


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})"


def _objects(found: list[dict[str, Any]], clips: int) -> Table:
    moments = len({(row["name"], row["time"]) for row in found})
    tracks = len({(row["name"], row["track"]) for row in found if row["track"] is not None})
    title = (
        f"Objects: {len(found)} in {len({row['name'] for row in found})} of {clips} clips, "
        f"{len(found) / max(moments, 1):.1f} per frame with objects, {tracks} tracks"
    )
    table = Table("class", "boxes", "clips", title=title, title_justify="left")
    for name, count in Counter(row["class"] for row in found).most_common(CLASSES):
        table.add_row(name, str(count), str(len({row["name"] for row in found if row["class"] == name})))
    return table


def _directions(found: list[dict[str, Any]]) -> Table:
    """Histogram of object directions, laid out as an equirectangular image: azimuth +180° on the left."""
    azimuths = np.array([row["azimuth"] for row in found])
    elevations = np.array([row["elevation"] for row in found])
    edges = np.linspace(-pi / 2, pi / 2, ROWS + 1), np.linspace(-pi, pi, COLUMNS + 1)
    counts = np.histogram2d(elevations, azimuths, edges)[0][::-1, ::-1]
    table = Table(title="Object directions (columns: azimuth, rows: elevation)", title_justify="left", padding=0)
    table.add_column("", justify="right")
    for column in range(COLUMNS):
        table.add_column(f"{180 - 360 * (column + 0.5) / COLUMNS:+.0f}°", justify="center")
    for row, line in enumerate(counts):
        shades = (SHADES[int(np.ceil(count / max(counts.max(), 1) * (len(SHADES) - 1)))] * 3 for count in line)
        table.add_row(f"{90 - 180 * (row + 0.5) / ROWS:+.0f}°", *shades)
    return table
