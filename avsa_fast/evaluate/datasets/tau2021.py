"""TAU Urban Audio-Visual Scenes 2021 (Wang et al. 2021), development set: binaural sound and flat video.

audio/SCENE-CITY-PLACE-SEGMENT.wav, video/….mp4, evaluation_setup/fold1_{train,evaluate}.csv (tab-separated).
"""

from pathlib import Path

from avsa_fast.errors import UserError

from .labelled import Fold, Item, Labelled, read_rows

CLASSES, WINDOWS = 10, 10
COLUMNS = ("filename_audio", "filename_video", "scene_label")


def tau2021(root: Path, *, partial: bool = False) -> Labelled:
    """Loads TAU Urban Audio-Visual Scenes 2021 with its official fold.

    Segments of one place must not be in both train and test.

    Args:
        root: Folder of the dataset.
        partial: Accept missing classes and files.

    Returns:
        The dataset and its folds.

    Raises:
        UserError: If the dataset is incomplete, its layout is wrong, or the split leaks.
    """
    setup = root / "evaluation_setup"
    fold = Fold(*(_items(root, setup / f"fold1_{part}.csv") for part in ("train", "evaluate")))
    classes = sorted({item.label for item in fold.train})
    return Labelled("TAU UAVS 2021", classes, [fold], WINDOWS).validated(CLASSES, partial=partial)


def _items(root: Path, path: Path) -> list[Item]:
    """Items of a list, grouped by place."""
    items = []
    for row in read_rows(path, COLUMNS, delimiter="\t"):
        name = Path(row["filename_audio"]).stem
        if len(name.split("-")) < 4:
            raise UserError(f"{path}: {row['filename_audio']!r} is not SCENE-CITY-PLACE-SEGMENT.wav")
        place = "-".join(name.split("-")[:3])
        video, audio = root / row["filename_video"], root / row["filename_audio"]
        items.append(Item(name, row["scene_label"], video, audio, place))
    return items
