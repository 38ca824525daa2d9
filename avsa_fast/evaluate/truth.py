"""Ground-truth directions: truth.parquet of synthetic scenes, or a folder of DOA files as in STARSS22 and STARSS23."""

from collections.abc import Iterator
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from avsa_fast.data.directions import Detections
from avsa_fast.data.sound_events import FRAME_SECONDS, read_events
from avsa_fast.data.tables import TRUTH, read_columns
from avsa_fast.errors import UserError


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
        if name in self._clips and np.abs(self._clips[name][0] - time).min() > FRAME_SECONDS:
            return np.empty((0, 2))
        return super().at(name, time)

    def annotates(self, name: str) -> bool:
        """Returns whether a clip has annotated objects."""
        return name in self._clips


def read_truth(path: Path) -> Truth:
    """Reads the directions of a dataset's sounding objects.

    Args:
        path: truth.parquet, or a folder with NAME.csv for each clip NAME, which `data.sound_events.read_events` reads.

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


def _read_doa(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a DOA file, in radians and seconds."""
    for event in read_events(path):
        yield {
            "name": path.stem,
            "time": (event.frame + 0.5) * FRAME_SECONDS,
            "azimuth": radians(event.azimuth),
            "elevation": radians(event.elevation),
        }
