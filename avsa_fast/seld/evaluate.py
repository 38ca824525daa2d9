"""Scores of a detector on annotated recordings."""

from collections.abc import Sequence
from typing import Any

from avsa_fast.progress import show_progress

from .config import SeldConfig
from .metrics import Edition, Row, interval_of, row_of, summarise, tallies
from .model import Detector
from .recordings import CENTIMETRES, Recording
from .score import AVERAGES, described
from .windows import detect, plan_windows

THRESHOLD = 0.5  # activity from which an event is reported


def evaluate(detector: Detector, recordings: Sequence[Recording], config: SeldConfig) -> dict[str, Any]:
    """Detects the events of recordings, and compares them with the annotated ones.

    Args:
        detector: Detector in evaluation mode.
        recordings: The recordings.
        config: The detector's configuration.

    Returns:
        "edition": 2024, or 2023 if not all annotations have distances; "macro" and "micro", as in `score.described`.

    Raises:
        UserError: A sound is damaged.
    """
    true: dict[str, list[Row]] = {}
    found: dict[str, list[Row]] = {}
    edition: Edition = 2024 if all(e.distance is not None for r in recordings for e in r.events) else 2023
    with show_progress("scoring held-out recordings") as progress:
        for number, recording in enumerate(recordings):
            true[recording.name] = [row_of(event) for event in recording.events]
            windows = plan_windows(recording.frames, config.frames)
            found[recording.name] = [
                row_of(event, CENTIMETRES)
                for events in detect(detector, recording.reader, windows, config, THRESHOLD)
                for event in events
            ]
            progress(number + 1, len(recordings))
    tally = tallies(
        true, found, n_classes=config.classes, threshold=20.0, distance_threshold=1.0, edition=edition
    )  # fmt: skip
    results: dict[str, Any] = {"edition": edition}
    for average in AVERAGES:
        bounds = interval_of(tally, average=average, edition=edition, method="jackknife")
        results[average] = described(summarise(tally, average=average, edition=edition), bounds)
    return results
