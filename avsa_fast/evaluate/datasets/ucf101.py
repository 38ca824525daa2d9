"""UCF101 (Soomro et al. 2012), with its official split lists.

UCF-101/CLASS/v_CLASS_gNN_cNN.avi, ucfTrainTestlist/{classInd,trainlist0N,testlist0N}.txt.
"""

from pathlib import Path

from avsa_fast.errors import UserError

from .labelled import Fold, Item, Labelled, read_lines

CLASSES, SPLITS, WINDOWS = 101, 3, 25


def ucf101(root: Path, *, partial: bool = False) -> Labelled:
    """Loads UCF101 with its three official splits.

    Videos of one group (gNN of a class) come from one original video and must not be in both train and test.

    Args:
        root: Folder of the dataset.
        partial: Accept missing classes and videos.

    Returns:
        The dataset and its folds.

    Raises:
        UserError: If the dataset is incomplete, its layout is wrong, or a split leaks.
    """
    lists = root / "ucfTrainTestlist"
    classes = [line.split()[-1] for line in read_lines(lists / "classInd.txt")]
    folds = [
        Fold(*(_items(root, lists / f"{part}list{split:02d}.txt") for part in ("train", "test")))
        for split in range(1, SPLITS + 1)
    ]
    return Labelled("UCF101", classes, folds, WINDOWS, "flat").validated(CLASSES, partial=partial)


def _items(root: Path, path: Path) -> list[Item]:
    """Items of a split list, grouped by class and gNN."""
    items = []
    for line in read_lines(path):
        name = line.split()[0]
        label, slash, file = name.partition("/")
        group = file.split("_")[-2:-1]
        if not slash or not group or not group[0].startswith("g"):
            raise UserError(f"{path}: {name!r} is not CLASS/v_CLASS_gNN_cNN.avi")
        items.append(Item(name, label, root / "UCF-101" / name, root / "UCF-101" / name, f"{label}/{group[0]}"))
    return items
