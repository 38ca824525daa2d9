from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.memory import peak_growth

from avsa_fast.data import tables
from avsa_fast.data.tables import DETECTIONS, INDEX, read_columns
from avsa_fast.errors import UserError


def test_many_rows_of_nothing_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """A file of a megabyte that would take gigabytes."""
    path = tmp_path / "index.parquet"
    with pq.ParquetWriter(path, INDEX) as writer:
        part = pa.table({name: pa.nulls(500_000, INDEX.field(name).type) for name in INDEX.names}, schema=INDEX)
        for _ in range(60):
            writer.write_table(part)
    assert path.stat().st_size < 4e6
    for rows in (tables.MAX_ROWS, 10**9):
        with pytest.MonkeyPatch.context() as patch, peak_growth() as growth:
            patch.setattr(tables, "MAX_ROWS", rows)
            with pytest.raises(UserError, match=r"index\.parquet: (30000000 rows; at most|\d+ MB; tables of at most)"):
                read_columns(path, INDEX)
    assert growth() < 100e6


def test_long_texts_that_are_repeated_are_refused_before_they_are_copied(tmp_path: Path) -> None:
    path = tmp_path / "detections.parquet"
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), ["x" * 50_000])
    columns = {name: pa.nulls(100_000, DETECTIONS.field(name).type) for name in DETECTIONS.names} | {"name": names}
    pq.write_table(pa.table(columns), path)
    assert path.stat().st_size < 1e6
    with peak_growth() as growth, pytest.raises(UserError, match=r"detections\.parquet: 47\d\d MB; tables of at most"):
        read_columns(path, DETECTIONS)
    assert growth() < 100e6


def test_columns_that_are_there_twice(tmp_path: Path) -> None:
    table = DETECTIONS.empty_table()
    pq.write_table(table.append_column("time", pa.array([], pa.float64())), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet: column 'time' is there twice"):
        read_columns(tmp_path / "t.parquet", DETECTIONS)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 100, bytes(1000)])
def test_what_is_not_a_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"t\.parquet: not a readable table: "):
        read_columns(tmp_path / "t.parquet", DETECTIONS)
    with pytest.raises(UserError, match=r"not a readable table: not a regular file"):
        read_columns(tmp_path, DETECTIONS)
