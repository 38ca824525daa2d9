"""Summary of a prepared dataset, as tables for the terminal."""

from collections import Counter
from collections.abc import Iterator
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.table import Table

from avsa_fast.data.table_rules import SPLITS

from .hints import silent_names

VALID = 0.1  # maximum |E_xyz / E_w - 1| of a fully ambisonic recording, as in the paper
CLASSES = 8  # number of classes shown, the most frequent first
ROWS, COLUMNS = 6, 12  # bins of the histogram of directions: 30° each
SHADES = " ·░▒▓█"


def summary(data: Path, rows: list[dict[str, Any]], found: pa.Table | None) -> Iterator[Table]:
    """Summarises a dataset.

    Args:
        data: Dataset folder, which the title names.
        rows: Rows of its index.
        found: Its detections, if it has any.

    Yields:
        Tables for the terminal.
    """
    yield _clips(data, rows)
    usable = [row for row in rows if row["state"] == "ok"]
    if usable:
        yield _media(usable)
    if found is not None:
        yield _objects(found, len(usable))
        yield _directions(found)


def _clips(data: Path, rows: list[dict[str, Any]]) -> Table:
    present = {row["split"] for row in rows}
    named = [split for split in SPLITS if split != "validation" or split in present]
    table = Table("state", "clips", "hours", *named, title=f"{data}: {len(rows)} clips", title_justify="left")
    for state, count in sorted(Counter(row["state"] for row in rows).items(), key=lambda item: (item[0] != "ok", item)):
        these = [row for row in rows if row["state"] == state]
        hours = sum(row["seconds"] or 0 for row in these) / 3600
        splits = Counter(row["split"] for row in these)
        table.add_row(state, str(count), f"{hours:.2f}", *(str(splits[split]) for split in named))
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
    silent = sum(bool(silent_names(row)) for row in directed)
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


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})"


def _objects(found: pa.Table, clips: int) -> Table:
    moments = _distinct(found, "name", "time").num_rows
    tracks = _distinct(found.filter(found["track"].is_valid()), "name", "track").num_rows
    title = (
        f"Objects: {found.num_rows} in {_distinct(found, 'name').num_rows} of {clips} clips, "
        f"{found.num_rows / max(moments, 1):.1f} per frame with objects, {tracks} tracks"
    )
    table = Table("class", "boxes", "clips", title=title, title_justify="left")
    clips_of = Counter(_distinct(found, "class", "name")["class"].to_pylist())
    for pair in sorted(found["class"].value_counts().to_pylist(), key=lambda pair: -pair["counts"])[:CLASSES]:
        table.add_row(pair["values"], str(pair["counts"]), str(clips_of[pair["values"]]))
    return table


def _distinct(found: pa.Table, *names: str) -> pa.Table:
    """The distinct values of columns."""
    return found.group_by(list(names)).aggregate([])


def _directions(found: pa.Table) -> Table:
    """Histogram of object directions, laid out as an equirectangular image: azimuth +180° on the left."""
    azimuths, elevations = (found[name].to_numpy() for name in ("azimuth", "elevation"))
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
