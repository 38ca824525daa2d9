"""Lazy access to the usable clips of a prepared dataset folder, which may have a million clips."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avsa_fast.errors import UserError

from .clips import Clip, media_names
from .rows import READING
from .tables import read_columns, require_table

IndexEntry = tuple[Clip, dict[str, Any]]


class Index(Sequence[IndexEntry]):
    """Sequence of the usable clips with their rows of index.parquet, whose splits apply, not those of the lists.

    The rows have the columns of `rows.READING`.
    """

    def __init__(self, data: Path) -> None:
        """Reads the index and lists the media files.

        Args:
            data: Dataset folder.

        Raises:
            UserError: The folder, the index or all of its media are missing.
        """
        self._data = data
        self._videos, self._sounds = media_names(data)
        require_table(data, "index.parquet")
        table = read_columns(data / "index.parquet", READING)
        table = table.filter(pc.equal(table["state"], "ok"))
        complete = [name in self._videos and name in self._sounds for name in table["name"].to_pylist()]
        self._table = table.filter(pa.array(complete, pa.bool_())).combine_chunks()
        if not len(self):
            raise UserError(f"{data}: index.parquet lists no usable clip of this folder; delete it to rebuild it")

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, number: int) -> IndexEntry: ...
    @overload
    def __getitem__(self, number: slice) -> list[IndexEntry]: ...
    def __getitem__(self, number: int | slice) -> IndexEntry | list[IndexEntry]:
        if isinstance(number, slice):
            return [self[i] for i in range(len(self))[number]]
        (row,) = self._table.slice(range(len(self))[number], 1).to_pylist()
        return self._entry(row)

    def __iter__(self) -> Iterator[IndexEntry]:
        for batch in self._table.to_batches(1000):
            yield from map(self._entry, batch.to_pylist())

    def directional(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Returns a mask [n] of the clips with directional sound."""
        return pc.fill_null(pc.list_value_length(self._table["channel_map"]), 0).to_numpy() > 0

    def in_split(self, split: str) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Returns a mask [n] of the clips of a split.

        Args:
            split: "train", "test" or "validation".
        """
        return pc.fill_null(pc.equal(self._table["split"], split), False).to_numpy()

    def names(self, numbers: "np.ndarray[Any, np.dtype[np.int64]]") -> list[str]:
        """Returns the names of clips.

        Args:
            numbers: int [m], numbers of the clips.
        """
        names: list[str] = self._table["name"].take(pa.array(numbers)).to_pylist()
        return names

    def _entry(self, row: dict[str, Any]) -> IndexEntry:
        """Clip and row for a row of the index."""
        name = row["name"]
        video, sound = self._data / "video" / self._videos[name], self._data / "audio" / self._sounds[name]
        return Clip(name, video, sound, row["split"]), row
