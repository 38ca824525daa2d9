from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from avsa_fast.data.index import Index
from avsa_fast.data.rows import READING
from avsa_fast.data.tables import DETECTIONS, INDEX, TRUTH, read_columns, read_table, write_table
from avsa_fast.errors import UserError

NAN, INF = float("nan"), float("inf")
TRACKS = {
    **{f"{kind}_stream": 0 for kind in ("video", "sound")}, **{f"{kind}_seconds": 9.0 for kind in ("video", "sound")},
    **{f"{kind}_start": 0.5 for kind in ("video", "sound")}, **{f"{kind}_zero": 0.0 for kind in ("video", "sound")},
    "fps": 30.0, "width": 1920, "height": 960, "turns": 0, "rate": 48000, "channels": 4, "codec": "flac",
    "first_block": 0, "block": 0,
}  # fmt: skip
CLIP = {"name": "clip", "seconds": 9.0, "split": "train", "state": "ok", "channel_map": [0, 2, 3, 1]} | TRACKS
OBJECT = {"time": 1.0, "azimuth": 3.1, "elevation": -1.57, "width": 0.5, "height": 0.4, "class": "cow", "score": 0.5}
SOURCE = {"time": 1.0, "source": 0, "class": "cow", "azimuth": 3.1, "elevation": 1.57, "gain": 0.3}


def table(path: Path, schema: pa.Schema, *rows: dict[str, Any]) -> Path:
    write_table(path, [dict.fromkeys(schema.names) | row for row in rows], schema)
    return path


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seconds", None), ("seconds", NAN), ("seconds", -1.0), ("seconds", 0.0), ("seconds", INF), ("seconds", 1e9),
        ("video_seconds", None), ("video_seconds", 1e12), ("sound_seconds", 0.0), ("video_start", INF),
        ("video_zero", 1e12), ("sound_zero", None), ("sound_zero", 5.0), ("video_stream", -2), ("sound_stream", -1),
        ("width", None), ("height", 0), ("turns", 7), ("rate", 0), ("rate", None), ("channels", -1),
        ("channels", 2**31 - 1), ("channels", 3), ("codec", None), ("codec", ""), ("channel_map", [0, 1, 2, None]),
        ("channel_map", [-1, 0, 1, 2]), ("channel_map", [0, 1]), ("channel_map", [0]), ("channel_map", [0, 0, 0, 0]),
        ("channel_map", [0, 1, 2, 64]), ("gains", "xyz"), ("projection", "flat"), ("block", -1), ("yaw", NAN),
        ("split", "dev"), ("state", None), ("state", "fine"), ("name", None), ("name", "a\nb"),
        ("name", "x" * 300),
    ],
)  # fmt: skip
def test_impossible_rows_of_an_index(tmp_path: Path, column: str, value: object) -> None:
    path = table(tmp_path / "index.parquet", INDEX, CLIP | {"name": "first"}, CLIP | {column: value})
    expected = "channel_map" if (column, value) == ("channels", 3) else column
    for schema in (INDEX, READING):
        with pytest.raises(UserError) as refusal:
            read_columns(path, schema)
        who = "" if column == "name" else "clip: "
        assert str(refusal.value).startswith(f"{path}: {who}{expected} ")
        assert str(refusal.value).endswith("; delete the file to rebuild it")
        assert len(str(refusal.value)) - len(str(path)) < 300


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("levels", [0.0, 0.0]), ("levels", [0.0, 0.0, NAN, 0.0]), ("clipped", [None]), ("picture_print", [1, 2, 3]),
        ("moment_times", [1.0]), ("moment_azimuths", [0.0]), ("arrival_spread", 0.3), ("arrival_share", INF),
        ("wave_ratio", 1.0), ("syllables", NAN),
    ],
)  # fmt: skip
def test_impossible_measures(tmp_path: Path, column: str, value: object) -> None:
    path = table(tmp_path / "index.parquet", INDEX, CLIP | {column: value})
    with pytest.raises(UserError, match=r"index\.parquet: clip: (moment_|arrival_)?.* is not possible: expected"):
        read_table(path, INDEX)
    assert len(read_columns(path, READING)) == 1  # training does not read them


def test_rows_that_are_possible(tmp_path: Path) -> None:
    unknown = dict.fromkeys(TRACKS)
    rows = [
        CLIP, CLIP | unknown, CLIP | {"channel_map": []}, CLIP | {"channel_map": None},
        CLIP | {"spatial_validity": INF},
        CLIP | {"video_start": -3.0, "split": None}, dict.fromkeys(INDEX.names) | {"state": "refused", "seconds": -1.0},
    ]  # fmt: skip
    rows = [row | {"name": f"clip {number}"} for number, row in enumerate(rows)]
    assert len(read_table(table(tmp_path / "index.parquet", INDEX, *rows), INDEX)) == len(rows)
    for schema in (INDEX, READING, DETECTIONS, TRUTH):
        write_table(tmp_path / "empty.parquet", [], schema)
        assert len(read_columns(tmp_path / "empty.parquet", schema)) == 0


def test_a_clip_that_is_listed_twice(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "audio").mkdir()
    table(tmp_path / "index.parquet", INDEX, CLIP, CLIP | {"name": "other"}, CLIP)
    with pytest.raises(UserError, match=r"index\.parquet: name 'clip' is not possible: expected each clip once"):
        Index(tmp_path)


@pytest.mark.parametrize(
    ("schema", "row", "column", "values"),
    [
        (schema, row, column, values)
        for schema, row in ((DETECTIONS, OBJECT), (TRUTH, SOURCE))
        for column, values in {
            "time": (None, NAN, INF, -1.0, 1e9), "azimuth": (None, NAN, INF, 90.0), "elevation": (None, INF, 1.6),
            "class": (None,), "score": (None, NAN, -0.1, 1.5), "width": (NAN, -1.0), "gain": (NAN, -1.0),
        }.items()
        if column in row
    ],
)  # fmt: skip
def test_impossible_directions(
    tmp_path: Path, schema: pa.Schema, row: dict[str, Any], column: str, values: tuple[object, ...]
) -> None:
    good = row | {"name": "clip"}
    assert len(read_table(table(tmp_path / "t.parquet", schema, good, good | {"azimuth": 6.28}), schema)) == 2
    for value in values:
        path = table(tmp_path / "t.parquet", schema, good, good | {column: value})
        with pytest.raises(UserError, match=rf"t\.parquet: clip: {column} .* is not possible: expected"):
            read_table(path, schema)
