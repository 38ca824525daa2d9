"""Splits of a dataset's usable clips: for training, for validation, and for the test."""

from typing import Any, NamedTuple

import numpy as np

from .index import Index
from .recordings import hold_out, recording_of

# One of so many training clips is for validation, but no more than MAX_VALIDATION, if no list names any.
VALIDATION_SHARE, MAX_VALIDATION = 10, 256

Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Splits(NamedTuple):
    """Numbers of the clips in an index, by split.

    Attributes:
        train: Clips to train on.
        validation: Clips that select the best checkpoint.
        test: Held-out clips.
        in_time: Whether all clips are of one recording, so that the end of each is to be held out from its beginning;
            they are then in `train` and in `test`.
    """

    train: Numbers
    validation: Numbers
    test: Numbers
    in_time: bool


def splits_of(index: Index, usable: "np.ndarray[Any, np.dtype[np.bool_]]") -> Splits:
    """Splits clips as the index says.

    If it has none for validation, a tenth of the training clips is taken, at most 256, in whole recordings.

    Args:
        index: Clips of the dataset.
        usable: Mask [n] of the clips to split.
    """
    every = np.flatnonzero(usable)
    train, validation = (np.flatnonzero(usable & index.in_split(split)) for split in ("train", "validation"))
    test = np.setdiff1d(every, np.concatenate([train, validation]))
    if len(every) == 1 or (0 < len(every) == len(train) and _is_one_recording(index, every)):
        return Splits(every, every[:0], every, in_time=True)
    if not len(validation):
        train, validation = _with_validation(index, train)
    return Splits(train, validation, test, in_time=False)


def _is_one_recording(index: Index, numbers: Numbers) -> bool:
    """Whether clips are parts of the same recording."""
    return len({recording_of(name) for name in index.names(numbers)}) == 1


def _with_validation(index: Index, train: Numbers) -> tuple[Numbers, Numbers]:
    """Training clips without those drawn for validation, and these."""
    count = min(len(train) // VALIDATION_SHARE, MAX_VALIDATION)
    names = index.names(train)
    drawn = hold_out(names, count)
    if len(drawn) > 2 * count:  # recordings are so large that too few clips would be left
        return train, train[:0]
    chosen = np.array([name in drawn for name in names], bool)
    return train[~chosen], train[chosen]
