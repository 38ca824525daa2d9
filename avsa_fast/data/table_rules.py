"""What the tables of a dataset folder may hold: required values, ranges, known words and names listed once."""

from collections.abc import Callable
from math import inf, pi
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from avsa_fast.errors import UserError

from .channels import Gains
from .clip_names import are_valid_names, is_valid_name
from .container import MAX_HEIGHT, MAX_WIDTH
from .projection import PROJECTIONS
from .tracks import MAX_CHANNELS, MAX_RATE, MAX_SECONDS, MIN_RATE

# Values of the column `state`: whether a clip can be used. The column `reason` holds the details.
STATES = {
    "ok": "usable; for spatial training if its channel map is not empty",
    "ambiguous": "sound whose channels could be in more than one order, or a pose; the reason says how to resolve it",
    "refused": "readable but not usable: not a 360° video, fisheye, or video and sound that do not match",
    "incomplete": "a video without sound, or a sound without video",
    "unreadable": "not a media file, empty, truncated or damaged",
    "costly": "exceeded the memory or time limit of a clip",
}
SPLITS = ("train", "test", "validation")

Ranges = dict[str, tuple[float, float]]  # least and greatest values of columns
MAX_STREAMS, MAX_STAMP, MAX_BLOCK = 1000, 1e9, 10_000_000  # tracks of a file, seconds, samples
MAX_NUMBER = 3e38  # of any finite float32
ROUNDING = 1e-6  # of float32 angles
TURN = (-2 * pi - ROUNDING, 2 * pi + ROUNDING)  # azimuths, within ±π or from 0
LATITUDE = (-pi / 2 - ROUNDING, pi / 2 + ROUNDING)
# Of the tracks of a usable clip, which are all stated or all unknown.
TRACKS: Ranges = {
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
# Of a usable clip, or null.
DIRECTIONS: Ranges = {
    **dict.fromkeys(("yaw", "pitch", "roll", "arrival_azimuth", "arrival_elevation"), (-MAX_NUMBER, MAX_NUMBER)),
    "arrival_share": (0, 1),
    "arrival_spread": (0, TURN[1]),
}
# Of a usable clip, or null; ratios to silence are infinite.
MEASURES: Ranges = dict.fromkeys(
    (
        "spatial_validity", "low_correlation", "capsule_ratio", "wave_share", "wave_ratio", "loud_ratio", "quiet_ratio",
        "syllables", "picture_contrast", "picture_change",
    ),
    (-inf, inf),
)  # fmt: skip
# Columns that are null only if another one is.
TOGETHER = {"arrival_share": "arrival_spread", "w_misfits": "wave_ratio"}
WORDS = {"projection": PROJECTIONS, "gains": get_args(Gains), "split": SPLITS}
# Lists of numbers that are not null, and their lengths; None: any.
LISTS = {
    "clipped": None, "levels": 4, "high_levels": 4, "w_misfits": 4, "moment_times": None, "moment_azimuths": None,
    "moment_elevations": None, "sound_print": 4, "picture_print": 4,
}  # fmt: skip
PLACES: Ranges = {"time": (0, MAX_SECONDS), "azimuth": TURN, "elevation": LATITUDE}
SIZES: Ranges = {"width": (0, TURN[1]), "height": (0, TURN[1])}
SHARE = (0.0, 1.0)


def check_values(path: Path, table: pa.Table) -> None:
    """Checks the values of a table, in a time that opening a dataset of 100,000 clips does not notice.

    Args:
        path: Its file, for messages.
        table: Columns of the schema INDEX, DETECTIONS or TRUTH of `data.tables`, whose metadata say which.

    Raises:
        UserError: A value is not possible; the message names the file, the clip, the column and what would be right.
    """
    _Checks(path, table).run(table.schema.metadata[b"table"].decode())


class _Checks:
    """Checks of one table, which raise UserError."""

    def __init__(self, path: Path, table: pa.Table) -> None:
        self.path, self.table = path, table

    def run(self, kind: str) -> None:
        """Checks a table of a kind."""
        names = self.table["name"]
        distinct = names.unique().to_pylist()
        if names.null_count or not are_valid_names(distinct):
            wrong = np.array([name is None or not is_valid_name(name) for name in names.to_pylist()])
            self._refuse(wrong, "name", "a name of at most 230 bytes on one line")
        checks: dict[str, Callable[[], None]] = {
            "index": self._index, "detections": self._detections, "truth": self._truth
        }  # fmt: skip
        if kind == "index" and len(distinct) < len(names):
            _, first = np.unique(names.to_numpy(), return_index=True)
            again = np.ones(len(names), bool)
            again[first] = False
            self._refuse(again, "name", "each clip once")
        checks[kind]()

    def _detections(self) -> None:
        self._within(PLACES | {"score": SHARE}, required=True)
        self._within(SIZES, required=False)
        self._refuse(_nulls(self.table["class"]), "class", "a word")

    def _truth(self) -> None:
        self._within(PLACES, required=True)
        self._within({"gain": (0, MAX_NUMBER)}, required=False)
        self._refuse(_nulls(self.table["class"]), "class", "a word")

    def _index(self) -> None:
        self._among("state", tuple(STATES), required=True)
        self.table = self.table.filter(pc.equal(self.table["state"], "ok"))
        self._within({"seconds": (1e-6, MAX_SECONDS)}, required=True)
        present = self.table.column_names
        optional = {column: limits for column, limits in (DIRECTIONS | MEASURES).items() if column in present}
        self._within(optional, required=False)
        for column, words in WORDS.items():
            self._among(column, words, required=False)
        self._channel_maps()
        for column, length in LISTS.items():
            if column in present:
                self._lists(column, length)
        for column, other in TOGETHER.items():
            if column in present:
                alone = _nulls(self.table[column]) & ~_nulls(self.table[other])
                self._refuse(alone, column, f"what is not null, as there is {other}")
        if "moment_times" in present:
            for column in ("moment_azimuths", "moment_elevations"):
                # Sound without a direction has no moments, as an empty list or as null.
                times, angles = _lengths(self.table["moment_times"]), _lengths(self.table[column])
                other = times.clip(0) != angles.clip(0)
                self._refuse(other, column, "as many numbers as moment_times")
        has_tracks = pc.and_(self.table["video_stream"].is_valid(), self.table["sound_stream"].is_valid())
        self.table = self.table.filter(has_tracks)
        self._within(TRACKS, required=True)
        for kind in ("video", "sound"):
            zero, start = (self.table[f"{kind}_{stamp}"].to_numpy() for stamp in ("zero", "start"))
            self._refuse(zero > np.maximum(start, 0.0), f"{kind}_zero", f"at most {kind}_start")
        self._refuse(_lengths(self.table["codec"], pc.utf8_length) < 1, "codec", "FFmpeg's name of the codec")
        mapped = self.table.filter(pc.greater(pc.list_value_length(self.table["channel_map"]), 0))
        if len(mapped):
            last = _values(mapped["channel_map"]).reshape(-1, 4).max(1)
            _Checks(self.path, mapped)._refuse(
                last >= mapped["channels"].to_numpy(), "channel_map", "numbers below that of the channels"
            )

    def _channel_maps(self) -> None:
        """Maps are empty or four different channels."""
        expected = f"null, empty or four different channels from 0 to {MAX_CHANNELS - 1}"
        self._lists("channel_map", 4, expected, may_be_empty=True)
        mapped = self.table.filter(pc.greater(pc.list_value_length(self.table["channel_map"]), 0))
        if len(mapped):
            channels = np.sort(_values(mapped["channel_map"]).reshape(-1, 4), axis=1)
            wrong = (channels[:, 0] < 0) | (channels[:, -1] >= MAX_CHANNELS) | (np.diff(channels) == 0).any(1)
            _Checks(self.path, mapped)._refuse(wrong, "channel_map", expected)

    def _lists(self, column: str, length: int | None, expected: str = "", *, may_be_empty: bool = False) -> None:
        """Lists are null, or have finite numbers, and as many as they should."""
        lengths = _lengths(self.table[column])
        wrong = (lengths >= 0) & (lengths != length) if length is not None else np.zeros(len(lengths), bool)
        if may_be_empty:
            wrong &= lengths != 0
        if not np.isfinite(_values(self.table[column])).all():
            rows = self.table[column].to_pylist()
            wrong |= [not np.isfinite(np.array(row or (), np.float64)).all() for row in rows]
        self._refuse(wrong, column, expected or f"{length or 'a list of'} finite numbers")

    def _within(self, ranges: Ranges, *, required: bool) -> None:
        """Values are finite and within ranges, or null if they are not required."""
        for column, (low, high) in ranges.items():
            values = self.table[column]
            numbers = values.to_numpy()
            wrong = ~((numbers >= low) & (numbers <= high))  # also NaN, which stands for null too
            if not required and wrong.any():
                wrong &= values.is_valid().to_numpy()
            self._refuse(wrong, column, f"{'' if required else 'null or '}a number from {low:g} to {high:g}")

    def _among(self, column: str, words: tuple[str, ...], *, required: bool) -> None:
        """Values are known words, or null if they are not required."""
        values = self.table[column]
        known = pc.is_in(values, value_set=pa.array([*words, *([] if required else [None])], pa.string()))
        self._refuse(~known.to_numpy(), column, f"{'' if required else 'null or '}one of {', '.join(words)}")

    def _refuse(self, wrong: NDArray[np.bool_], column: str, expected: str) -> None:
        """Raises UserError if any row is wrong; it names the first."""
        if wrong.any():
            number = int(wrong.argmax())
            name, value = (self.table[c][number].as_py() for c in ("name", column))
            who = "" if column == "name" else f"{name}: "
            raise UserError(
                f"{self.path}: {who}{column} {_shortened(value)} is not possible: expected {expected}; delete the file "
                "to rebuild it"
            )


def _shortened(value: Any) -> str:
    """A value as text of bounded length."""
    text = repr(value[:100] if isinstance(value, str | list) else value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _nulls(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return column.is_null().to_numpy()


def _lengths(column: pa.ChunkedArray, count: Callable[[Any], Any] = pc.list_value_length) -> NDArray[np.int64]:
    """Lengths of lists or texts; -1 for null."""
    return pc.fill_null(count(column), -1).to_numpy()


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    """Elements of all lists; null is NaN."""
    return pc.list_flatten(column).to_numpy()
