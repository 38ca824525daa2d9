"""The usable clips of a prepared dataset folder, each made when it is asked for: a folder may have a million."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avsa_fast.errors import UserError

from .clips import Clip, media_names
from .tables import INDEX, read_columns

Entry = tuple[Clip, dict[str, Any]]


class Index(Sequence[Entry]):
    """Clips, each with its row of index.parquet, whose split is the one that counts.

    Raises UserError where the folder, the index or its media are not there.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._videos, self._sounds = media_names(data)
        table = read_columns(data / "index.parquet", INDEX)
        table = table.filter(pc.equal(table["state"], "ok"))
        there = [name in self._videos and name in self._sounds for name in table["name"].to_pylist()]
        self._table = table.filter(pa.array(there, pa.bool_())).combine_chunks()
        if not len(self):
            raise UserError(
                f"{data}: index.parquet lists no usable clip of this folder; remove it to have it made anew"
            )

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, number: int) -> Entry: ...
    @overload
    def __getitem__(self, number: slice) -> list[Entry]: ...
    def __getitem__(self, number: int | slice) -> Entry | list[Entry]:
        if isinstance(number, slice):
            return [self[i] for i in range(len(self))[number]]
        (row,) = self._table.slice(range(len(self))[number], 1).to_pylist()
        return self._entry(row)

    def __iter__(self) -> Iterator[Entry]:
        for batch in self._table.to_batches(1000):
            yield from map(self._entry, batch.to_pylist())

    def directed(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which of the clips have sound with a direction, [n]."""
        return pc.fill_null(pc.list_value_length(self._table["channel_map"]), 0).to_numpy() > 0

    def trained_on(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which of the clips are to train on, [n]; the others are held out."""
        return pc.fill_null(pc.equal(self._table["split"], "train"), False).to_numpy()

    def _entry(self, row: dict[str, Any]) -> Entry:
        name = row["name"]
        video, sound = self._data / "video" / self._videos[name], self._data / "audio" / self._sounds[name]
        return Clip(name, video, sound, row["split"]), row
