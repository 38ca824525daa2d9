"""Datasets with one folder per class: CLASS/FILE (five folds), or train/CLASS/FILE and test/CLASS/FILE."""

import hashlib
from collections import Counter
from pathlib import Path

from avsa_fast.data.media_formats import SOUND_SUFFIXES, VIDEO_SUFFIXES
from avsa_fast.errors import UserError

from .labelled import Fold, Item, Labelled, cross_validation

FOLDS = 5


def folders(root: Path, *, partial: bool = False) -> Labelled:
    """Loads a dataset with one folder per class.

    Without train and test folders, the files of each class are distributed over 5 folds in the order of a hash of
    their names.

    Args:
        root: Folder of the dataset.
        partial: Skip test classes that have no training files.

    Returns:
        The dataset and its folds.

    Raises:
        UserError: If the folder is missing or has no such layout.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    if (root / "train").is_dir() and (root / "test").is_dir():
        folds = [Fold(_items(root / "train"), _items(root / "test"))]
    else:
        assigned, counts = [], Counter[str]()
        for item in sorted(_items(root), key=lambda item: hashlib.sha256(item.name.encode()).digest()):
            assigned.append((counts[item.label] % FOLDS, item))
            counts[item.label] += 1
        folds = cross_validation(assigned) if assigned else []
    if not folds or not folds[0].train:
        raise UserError(f"{root}: no files in folders of classes; expected CLASS/FILE, or train/CLASS and test/CLASS")
    classes = sorted({item.label for fold in folds for item in fold.train})
    return Labelled(str(root), classes, folds, windows=10).validated(None, partial=partial)


def _items(root: Path) -> list[Item]:
    """All CLASS/FILE below a folder with a known media suffix."""
    items = []
    for path in sorted(root.glob("*/*")):
        video, sound = path.suffix.lower() in VIDEO_SUFFIXES, path.suffix.lower() in SOUND_SUFFIXES
        if video or sound:
            # The sound of a video file is its own audio track.
            name = str(path.relative_to(root))
            items.append(Item(name, path.parent.name, path if video else None, path))
    return items
