"""EigenScape (Green and Murphy 2017): CLASS.N.wav or CLASS-0N.wav, order-4 ambisonics (25 channels, ACN, SN3D).

Eight classes with eight recordings of ten minutes each. The authors define no split.
"""

import re
from pathlib import Path

from avsa_fast.errors import UserError

from .labelled import Item, Labelled, cross_validation

CLASSES, RECORDINGS, FOLDS, WINDOWS = 8, 8, 4, 30
NAME = re.compile(r"([A-Za-z]+)[.-]0?(\d)\.wav")


def eigenscape(root: Path, *, partial: bool = False) -> Labelled:
    """Loads EigenScape for 4-fold cross-validation by recording number: 1 and 2, 3 and 4, 5 and 6, 7 and 8.

    Each recording was made at a different place and belongs to one fold only.

    Args:
        root: Folder of the dataset; subfolders are searched too.
        partial: Accept missing classes and recordings.

    Returns:
        The dataset and its folds.

    Raises:
        UserError: If the dataset is incomplete or its layout is wrong.
    """
    assigned = []
    for path in sorted(root.rglob("*.wav")):
        if match := NAME.fullmatch(path.name):
            label, number = match[1], int(match[2])
            if not 1 <= number <= RECORDINGS:
                raise UserError(f"{path}: recordings are numbered from 1 to {RECORDINGS}")
            assigned.append(((number - 1) * FOLDS // RECORDINGS, Item(f"{label}.{number}", label, None, path)))
    if not assigned:
        raise UserError(f"{root}: no CLASS.N.wav in it, as in Beach.1.wav")
    if len({item.name for _, item in assigned}) != len(assigned):
        raise UserError(f"{root}: contains a recording twice")
    if len(assigned) != CLASSES * RECORDINGS and not partial:
        raise UserError(
            f"{root}: {len(assigned)} recordings; EigenScape has {CLASSES * RECORDINGS} (--partial uses them)"
        )
    classes = sorted({item.label for _, item in assigned})
    return Labelled("EigenScape", classes, cross_validation(assigned), WINDOWS).validated(CLASSES, partial=partial)
