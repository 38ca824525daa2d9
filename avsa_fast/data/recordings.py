"""Recordings: which clips are parts of one, and the choice of whole recordings to hold out."""

import hashlib
import re
from collections.abc import Sequence


def recording_of(name: str) -> str:
    """Returns the id of the recording that a clip is part of, if its name has the form {id}-{start second}.

    Args:
        name: Name of the clip.

    Returns:
        The id; the whole name if it has another form.
    """
    match = re.fullmatch(r"(.+)-[0-9]+", name)
    return match[1] if match else name


def recording_number(name: str) -> int:
    """Returns a number of 63 bits for the recording of a clip, the same in every process.

    Args:
        name: Name of the clip.
    """
    digest = hashlib.blake2b(recording_of(name).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def hold_out(names: Sequence[str], count: int) -> set[str]:
    """Selects whole recordings that have about a number of clips together, identically on every machine.

    Recordings are taken in the order of a hash of their ids, without those that would miss the number by more than the
    clips that are still missing. If all are that large, the one with the fewest clips is taken.

    Args:
        names: Names of the clips.
        count: Number of clips wanted.

    Returns:
        Names of the clips of the selected recordings; none if there is only one recording, or if `count` is 0.
    """
    recordings: dict[str, list[str]] = {}
    for name in names:
        recordings.setdefault(recording_of(name), []).append(name)
    if count == 0 or len(recordings) < 2:
        return set()
    taken: set[str] = set()
    order = sorted(recordings, key=lambda recording: hashlib.sha256(recording.encode()).digest())
    for recording in order:
        if len(taken) < count and len(recordings[recording]) <= 2 * (count - len(taken)):
            taken.update(recordings[recording])
    if not taken:
        taken.update(recordings[min(order, key=lambda recording: len(recordings[recording]))])
    return taken
