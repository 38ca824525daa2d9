from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from avsa_fast.embed.store import SCHEMA, Parts
from avsa_fast.errors import UserError


def parts(folder: Path, suffix: str) -> Parts:
    made = Parts(folder / f"out{suffix}", folder / f"out{suffix}.parts", {"hop": 1.0})
    for name in ("00", "01"):
        made.add(name, "a.wav", "audio", [0.5, 1.5], torch.zeros(1, 2), torch.ones(2, 1, 4))
    return made


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
def test_parts_are_joined(tmp_path: Path, suffix: str) -> None:
    assert parts(tmp_path, suffix).join() == 4
    if suffix == ".npy":
        assert np.load(tmp_path / "out.npy").shape == (4, 4)


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "sizes", "null", "columns"])
def test_a_damaged_part_is_named(tmp_path: Path, suffix: str, damage: str) -> None:
    made = parts(tmp_path, suffix)
    path = made.folder / "01.parquet"
    table = pq.read_table(path)
    row = table.to_pylist()[0]
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "columns":
        pq.write_table(table.drop_columns(["time"]), path)
    else:
        rows = {"empty": [], "sizes": [row, row | {"embedding": [1.0]}], "null": [row | {"embedding": None}]}[damage]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    with pytest.raises(UserError, match=r"01\.parquet: damaged: .*; remove it to compute it again"):
        made.join()
    assert not made.out.exists()
    assert path.exists()
