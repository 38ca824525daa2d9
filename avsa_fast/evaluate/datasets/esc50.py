"""ESC-50 (Piczak 2015) and datasets in its layout: audio/FILE, meta/NAME.csv with filename, fold and category."""

from pathlib import Path

from avsa_fast.errors import UserError

from .labelled import Item, Labelled, cross_validation, read_rows

CLASSES, WINDOWS = 50, 5
OFFICIAL = "esc50.csv"


def esc50(root: Path, *, partial: bool = False) -> Labelled:
    """Loads ESC-50, or a dataset in its layout, for cross-validation with the folds of its table.

    meta/esc50.csv must have 50 classes; a table of another name may have any number. If the table has a column
    src_file, clips of one source file must be in one fold.

    Args:
        root: Folder of the dataset, with audio and meta.
        partial: Accept missing classes and files.

    Returns:
        The dataset and its folds.

    Raises:
        UserError: If the dataset is incomplete, its layout is wrong, or a source file is in several folds.
    """
    tables = sorted((root / "meta").glob("*.csv"))
    if len(tables) != 1:
        raise UserError(f"{root / 'meta'}: {len(tables)} CSV files in it; expected one, as meta/esc50.csv")
    (table,) = tables
    assigned = []
    for number, row in enumerate(read_rows(table, ("filename", "fold", "category")), start=2):
        if not row["fold"].isdigit():
            raise UserError(f"{table}, line {number}: fold {row['fold']!r} is not a number")
        audio = root / "audio" / row["filename"]
        assigned.append(
            (int(row["fold"]), Item(row["filename"], row["category"], None, audio, row.get("src_file", "")))
        )
    if not assigned:
        raise UserError(f"{table}: lists no file")
    classes = sorted({item.label for _, item in assigned})
    official = CLASSES if table.name == OFFICIAL else None
    name = "ESC-50" if official else str(root)
    return Labelled(name, classes, cross_validation(assigned), WINDOWS).validated(official, partial=partial)
