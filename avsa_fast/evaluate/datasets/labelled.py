"""Common representation of labelled datasets: items, classes and folds; and helpers to read their lists."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from avsa_fast.data import lists
from avsa_fast.errors import UserError


@dataclass(frozen=True)
class Item:
    """A labelled recording.

    Attributes:
        name: Unique name.
        label: Name of its class.
        video: File with its picture, if any.
        audio: File with its sound, if any; may be the same file.
        group: Recordings of one group (e.g. place or original video) must not be in both train and test; "": none.
    """

    name: str
    label: str
    video: Path | None = None
    audio: Path | None = None
    group: str = ""

    @property
    def files(self) -> list[Path]:
        """Paths of the video and sound files that the item has."""
        return [path for path in (self.video, self.audio) if path is not None]


@dataclass(frozen=True)
class Fold:
    """Items to train on and to test on."""

    train: list[Item]
    test: list[Item]


@dataclass(frozen=True)
class Labelled:
    """A labelled dataset with its evaluation protocol.

    Attributes:
        name: Name for messages.
        classes: Names of the classes.
        folds: Train-test splits.
        windows: Evenly spaced windows per recording, by the dataset's usual protocol.
        projection: "flat" if the dataset is known to have ordinary videos; None: detected for each file.
    """

    name: str
    classes: list[str]
    folds: list[Fold]
    windows: int
    projection: Literal["flat"] | None = None

    def validated(self, classes: int | None, *, partial: bool) -> "Labelled":
        """Validates the dataset: number of classes, presence of all files, no leak between train and test.

        Args:
            classes: Expected number of classes; None: any.
            partial: Drop missing files, and test items of classes without training items, instead of raising.

        Returns:
            The dataset, with its classes restricted to those that occur.

        Raises:
            UserError: If a check fails.
        """
        folds, missing = [], 0
        for number, fold in enumerate(self.folds, start=1):
            kept = Fold(_present(fold.train), _present(fold.test))
            absent = len(fold.train) + len(fold.test) - len(kept.train) - len(kept.test)
            missing += absent
            if absent and not partial:
                first = next(item for item in fold.train + fold.test if item not in kept.train + kept.test)
                raise UserError(
                    f"{self.name}, fold {number}: {absent} files are missing, {first.files[0]} the first; --partial "
                    "skips them"
                )
            shared_names = {item.name for item in kept.train} & {item.name for item in kept.test}
            shared_groups = {item.group for item in kept.train} & {item.group for item in kept.test} - {""}
            if shared_names or shared_groups:
                raise UserError(
                    f"{self.name}, fold {number}: {min(shared_names or shared_groups)} is on both sides of the split: "
                    "the test leaks"
                )
            trained = {item.label for item in kept.train}
            kept = replace(kept, test=[item for item in kept.test if item.label in trained]) if partial else kept
            if unseen := sorted({item.label for item in kept.test} - trained):
                raise UserError(f"{self.name}, fold {number}: class {unseen[0]} is tested but not trained on")
            if not kept.train or not kept.test:
                raise UserError(f"{self.name}, fold {number}: nothing to {'test' if kept.train else 'train'} on")
            folds.append(kept)
        labels = {item.label for fold in folds for item in fold.train}
        if unknown := sorted(labels - set(self.classes)):
            raise UserError(f"{self.name}: {unknown[0]!r} is not one of its classes")
        if classes is not None and len(labels) != classes and not partial:
            raise UserError(f"{self.name} has {classes} classes; {len(labels)} are here (--partial uses them)")
        if len(labels) < 2:
            raise UserError(f"{self.name}: a classifier needs at least 2 classes; {len(labels)} here")
        return replace(self, classes=[name for name in self.classes if name in labels], folds=folds)


def _present(items: Iterable[Item]) -> list[Item]:
    """Items whose files all exist."""
    return [item for item in items if all(path.is_file() for path in item.files)]


def read_lines(path: Path) -> list[str]:
    """Reads the non-empty lines of a text file.

    Args:
        path: UTF-8 file.

    Returns:
        The lines, stripped.

    Raises:
        UserError: If the file is missing or unreadable.
    """
    return lists.read_lines(path, "a readable list")


def read_rows(path: Path, columns: tuple[str, ...], delimiter: str = ",") -> list[dict[str, str]]:
    """Reads a CSV table with a header.

    Args:
        path: UTF-8 file.
        columns: Required columns.
        delimiter: Separator of cells.

    Returns:
        Rows as dictionaries by column name.

    Raises:
        UserError: If the file is unreadable, a required column is missing, or a row has too few or too many cells.
    """
    try:
        return _rows(path, csv.DictReader(read_lines(path), delimiter=delimiter), columns)
    except csv.Error as error:
        raise UserError(f"{path}: not a readable table: {error}") from error


def _rows(path: Path, reader: "csv.DictReader[str]", columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The checked rows of a CSV table."""
    if missing := [name for name in columns if name not in (reader.fieldnames or [])]:
        raise UserError(f"{path}: no column {missing[0]!r}; expected {', '.join(columns)}")
    rows = []
    for number, row in enumerate(reader, start=1):
        if None in row or None in row.values():
            raise UserError(f"{path}, row {number}: not {len(reader.fieldnames or [])} columns, as in the header")
        rows.append(row)
    return rows


def cross_validation(items: list[tuple[int, Item]]) -> list[Fold]:
    """Creates the folds of a cross-validation.

    Args:
        items: Fold number and item; each number is tested once, with training on the others.

    Returns:
        The folds in the order of their numbers.

    Raises:
        UserError: If there are fewer than 2 fold numbers.
    """
    numbers = sorted({number for number, _ in items})
    if len(numbers) < 2:
        raise UserError("cross-validation needs at least 2 folds")
    return [
        Fold([item for n, item in items if n != number], [item for n, item in items if n == number])
        for number in numbers
    ]
