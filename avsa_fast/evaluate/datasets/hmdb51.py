"""HMDB51 (Kuehne et al. 2011): CLASS/NAME.avi, testTrainMulti_7030_splits/CLASS_test_split{1,2,3}.txt."""

from pathlib import Path

from avsa_fast.errors import UserError

from .labelled import Fold, Item, Labelled, read_lines

CLASSES, SPLITS, WINDOWS = 51, 3, 25
TRAIN, TEST = 70, 30  # videos of each class in each split
FOLDER = "testTrainMulti_7030_splits"


def hmdb51(root: Path, *, partial: bool = False) -> Labelled:
    """Loads HMDB51 with its three official splits.

    There is one list per class and split. Its lines hold NAME.avi and 1 (training), 2 (test) or 0 (unused).

    Args:
        root: Folder of the dataset.
        partial: Accept missing classes and videos.

    Returns:
        The dataset and its folds.

    Raises:
        UserError: If the dataset is incomplete or its layout is wrong.
    """
    lists = root / FOLDER
    classes = sorted({path.name.partition("_test_split")[0] for path in lists.glob("*_test_split*.txt")})
    if not classes:
        raise UserError(f"{lists}: no CLASS_test_split1.txt in it; these are HMDB51's official splits")
    folds = []
    for split in range(1, SPLITS + 1):
        parts: dict[str, list[Item]] = {"1": [], "2": [], "0": []}
        for label in classes:
            path = lists / f"{label}_test_split{split}.txt"
            counts = dict.fromkeys(parts, 0)
            for line in read_lines(path):
                name, _, part = line.rpartition(" ")
                if part not in parts or not name:
                    raise UserError(f"{path}: {line!r} is not a file name and 0, 1 or 2")
                video = root / label / name.strip()
                parts[part].append(Item(f"{label}/{name.strip()}", label, video, video))
                counts[part] += 1
            if (counts["1"], counts["2"]) != (TRAIN, TEST) and not partial:
                raise UserError(
                    f"{path}: {counts['1']} videos to train on and {counts['2']} to test; "
                    f"the official splits have {TRAIN} and {TEST}"
                )
        folds.append(Fold(parts["1"], parts["2"]))
    return Labelled("HMDB51", classes, folds, WINDOWS, "flat").validated(CLASSES, partial=partial)
