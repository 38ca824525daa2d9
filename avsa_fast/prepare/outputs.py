"""What a run of prepare writes once its clips are done: the tables and lists of the dataset folder."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from avsa_fast.data.table_rules import SPLITS
from avsa_fast.data.tables import DETECTIONS, INDEX, TRUTH, write_table
from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.terminal import notice
from avsa_fast.writing import open_regular, writing

from .find import Source
from .journal import Journal, JournalEntry, file_stamp
from .layouts.starss import read_annotations

STATE_FOLDER = ".prepare"  # subfolder of a dataset folder, with the lock and the journal
MAX_NOTE = 1 << 16  # bytes that are read of a file in it
TABLES = {"index.parquet": INDEX, "detections.parquet": DETECTIONS}


def remove_media(target: Path, entry: JournalEntry | None, keep: Collection[str]) -> None:
    """Removes a clip's links or transcoded files.

    Args:
        target: Dataset folder.
        entry: The journal's record of the clip, if there is one.
        keep: Paths of files to keep, relative to `target`.
    """
    for path in set(entry.media if entry else ()) - set(keep):
        if (target / path).is_symlink() or (target / path).is_file():
            _remove(target / path)


def write_results(
    source: Path,
    target: Path,
    found: Source,
    splits: Mapping[str, str],
    journal: Journal,
    tables: Sequence[str],
    state: str,
) -> None:
    """Writes the tables and lists, and removes the media of clips that are no longer in the source.

    Args:
        source: Folder of media.
        target: Dataset folder.
        found: What `source` holds.
        splits: Split of each clip that is used.
        journal: Results of all clips.
        tables: Names of the tables to write.
        state: What `is_finished` compares.

    Raises:
        WriteError: A file cannot be written.
    """
    used = [name for name in found.jobs if name in splits]
    rows = [journal.entries[name].row | {"split": splits[name]} for name in used]
    usable = [row["name"] for row in rows if row["state"] == "ok"]
    if source != target.resolve():
        for name in journal.entries.keys() - found.jobs.keys():
            remove_media(target, journal.entries[name], keep=())
        for split in SPLITS:
            wanted = (source / f"{split}.txt").exists() if found.splits is None else split in splits.values()
            members = [name for name in found.jobs if splits.get(name) == split]
            members = [name for name in members if journal.entries[name].row["state"] == "ok"]
            _write_list(target / f"{split}.txt", wanted, members)
    for table in tables:
        write_table(target / table, rows if table == "index.parquet" else journal.rows(usable), TABLES[table])
    if found.annotations:
        write_table(target / "truth.parquet", _truth(found, usable), TRUTH)
    write_text(_done_file(target), state)


def digest_inputs(keys: Mapping[str, str], splits: Mapping[str, str], found: Source, journal: Journal) -> str:
    """Returns a hash of all that the tables and lists depend on.

    Args:
        keys: Key of each clip.
        splits: As for `write_results`.
        found: As for `write_results`.
        journal: As for `write_results`.
    """
    annotations = [[name, str(path), file_stamp(path)] for name, path in sorted(found.annotations.items())]
    inputs = [sorted(keys.items()), sorted(splits.items()), found.splits is None, annotations, sorted(journal.entries)]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def is_finished(target: Path, state: str, tables: Sequence[str]) -> bool:
    """Returns whether the last run wrote all tables and lists, and from the same inputs.

    Args:
        target: Dataset folder.
        state: Value of `digest_inputs`.
        tables: Names of the tables.
    """
    return all((target / table).exists() for table in tables) and read_note(_done_file(target)) == state.encode()


def _truth(found: Source, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of truth.parquet for some clips; a file of directions that cannot be read is reported and left out."""
    for name in names:
        if name in found.annotations:
            try:
                yield from list(read_annotations(name, found.annotations[name]))
            except UserError as error:
                notice(f"no directions for {name}: {error}")


def _write_list(path: Path, wanted: bool, names: list[str]) -> None:
    if wanted:
        write_text(path, "".join(f"{name}\n" for name in names))
    else:
        _remove(path)


def _remove(path: Path) -> None:
    """Removes a file or link, if there is one."""
    with writing(path):
        path.unlink(missing_ok=True)


def read_note(path: Path) -> bytes | None:
    """Returns the content of a file of the state folder; None if it is missing.

    Args:
        path: The file.

    Raises:
        WriteError: It is a link or no regular file.
    """
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as file:
            return file.read(MAX_NOTE)
    except FileNotFoundError:
        return None


def _done_file(target: Path) -> Path:
    return target / STATE_FOLDER / "done"
