"""Ground-truth directions: truth.parquet of synthetic scenes, or a folder of DOA files as in STARSS22 and STARSS23."""

import csv
from math import isfinite, radians
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from avsa_fast.data.directions import Detections
from avsa_fast.data.tables import TRUTH, read_columns
from avsa_fast.data.tracks import MAX_SECONDS
from avsa_fast.errors import UserError

FRAME = 0.1  # seconds per frame of a DOA file
MAX_LINES = 1_000_000


class Truth(Detections):
    """Sounding objects by clip and time, valid only near their annotated time, since sounds start and end."""

    def at(self, name: str, time: float) -> np.ndarray:
        """Returns the directions annotated at the time nearest to a given one.

        Args:
            name: Name of the clip.
            time: Seconds from the start of the clip.

        Returns:
            [n, 2], azimuth and elevation in radians; n = 0 if the nearest annotation is over 0.1 s away.
        """
        if name in self._clips and np.abs(self._clips[name][0] - time).min() > FRAME:
            return np.empty((0, 2))
        return super().at(name, time)

    def annotates(self, name: str) -> bool:
        """Returns whether a clip has annotated objects."""
        return name in self._clips


def read_truth(path: Path) -> Truth:
    """Reads the directions of a dataset's sounding objects.

    Args:
        path: truth.parquet, or a folder with NAME.csv for each clip NAME. The CSV files have one line per object and
            frame of 100 ms: frame, class, source, azimuth (counter-clockwise) and elevation in degrees. A header and
            further columns, such as the distance, are allowed.

    Returns:
        The directions by clip and time.

    Raises:
        UserError: If a file is missing or malformed.
    """
    if not path.exists():
        raise UserError(
            f"{path.parent}: no {path.name} there, the directions of its sounding objects; --truth names a "
            "truth.parquet or a folder of NAME.csv as in STARSS"
        )
    if path.is_dir():
        files = sorted(path.glob("*.csv"))
        if not files:
            raise UserError(f"{path}: no NAME.csv in this folder")
        return Truth(pa.Table.from_pylist([row for file in files for row in _read_doa(file)], schema=TRUTH))
    return Truth(read_columns(path, TRUTH))


def _read_doa(path: Path) -> list[dict[str, Any]]:
    """Rows of a DOA file, in radians and seconds."""
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, cells in enumerate(csv.reader(file), start=1):
                if number > MAX_LINES:
                    raise UserError(f"{path}: more than {MAX_LINES} lines")
                if not cells or (number == 1 and not _is_number(cells[0])):
                    continue
                if len(cells) < 5 or not all(_is_number(cell) for cell in (cells[0], cells[3], cells[4])):
                    raise UserError(f"{path}, line {number}: expected frame, class, source, azimuth, elevation")
                frame, azimuth, elevation = (float(cells[column]) for column in (0, 3, 4))
                if not (0 <= frame * FRAME <= MAX_SECONDS and abs(azimuth) <= 360 and abs(elevation) <= 90):
                    raise UserError(
                        f"{path}, line {number}: frame {frame:g}, azimuth {azimuth:g}, elevation {elevation:g}: "
                        f"expected a frame from 0 to {MAX_SECONDS / FRAME:.0f}, and degrees within ±360 and ±90"
                    )
                rows.append(
                    {
                        "name": path.stem,
                        "time": (frame + 0.5) * FRAME,
                        "azimuth": radians(azimuth),
                        "elevation": radians(elevation),
                    }
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV file: {error}") from error
    return rows


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False
