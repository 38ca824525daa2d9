"""`python -m avsa_fast.seld score`: metrics of files of predicted events."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from avsa_fast.data.sound_events import read_events
from avsa_fast.errors import UserError
from avsa_fast.files import require_writable, write_text
from avsa_fast.terminal import notice, printable, say

from .metrics import KEYS, Average, Edition, Row, interval_of, row_of, summarise, tallies

AVERAGES: tuple[Average, Average] = ("macro", "micro")
SHOWN = {
    "error_rate": ("error rate", "{:.3f}", 1),
    "f_score": ("F score", "{:.1f} %", 100),
    "angular_error": ("angular error", "{:.1f}°", 1),
    "distance_error": ("distance error", "{:.2f} m", 1),
    "relative_distance_error": ("relative distance error", "{:.3f}", 1),
    "localisation_recall": ("localisation recall", "{:.1f} %", 100),
    "seld_score": ("SELD score", "{:.3f}", 1),
}  # title, format and factor of each metric


def score_files(
    reference: Path, prediction: Path, *, edition: Edition, classes: int, threshold: float, distance_threshold: float,
    unit: Literal["m", "cm"], method: Literal["jackknife", "bootstrap"], out: Path | None,
) -> None:  # fmt: skip
    """Prints the metrics of predictions, and writes them as JSON.

    Args:
        reference: Annotated events, a file or a folder; distances in centimetres.
        prediction: Predicted events, likewise.
        edition: Edition of the challenge.
        classes: Number of classes.
        threshold: Greatest angle of a found event, in degrees.
        distance_threshold: Greatest relative distance error of a found event.
        unit: Unit of the predicted distances.
        method: Method of the intervals.
        out: JSON file to write; None: only print.

    Raises:
        UserError: A file cannot be read or written, has events that cannot be compared, or has no counterpart.
    """
    if out is not None:
        require_writable(out)
    true, found = _lists(reference), _lists(prediction)
    if reference.is_file() and prediction.is_file():
        found = dict(zip(true, found.values(), strict=True))
    elif reference.is_dir():
        true = _predicted(true, found)
    for one, other, what in ((found, true, "annotations"), (true, found, "predictions")):
        if missing := sorted(one.keys() - other.keys()):
            more = f", nor for {len(missing) - 1} others" if len(missing) > 1 else ""
            where = reference if what == "annotations" else prediction
            raise UserError(f"{where}: no {what} for {missing[0]}.csv{more}; name folders of the same recordings")
    distances = edition == 2024
    try:
        tally = tallies(
            {name: _rows(path, 1.0, distances) for name, path in true.items()},
            {name: _rows(path, 100.0 if unit == "m" else 1.0, distances) for name, path in found.items()},
            n_classes=classes, threshold=threshold, distance_threshold=distance_threshold, edition=edition,
        )  # fmt: skip
    except ValueError as error:
        raise UserError(f"{error}; --classes is their number") from error
    results: dict[str, dict[str, Any]] = {
        average: described(
            summarise(tally, average=average, edition=edition),
            interval_of(tally, average=average, edition=edition, method=method),
        )
        for average in AVERAGES
    }
    say(f"DCASE {edition}, {len(true)} recordings")
    for average in AVERAGES:
        for key in KEYS[edition]:
            say(metric_line(average, key, results[average][key]))
    if out is not None:
        options = {"threshold": threshold, "distance_threshold": distance_threshold, "intervals": method}
        content = {"edition": edition, "recordings": len(true), **options, **results}
        write_text(out, json.dumps(content, indent=2) + "\n")


def described(values: dict[str, Any], bounds: dict[str, tuple[float, float] | None]) -> dict[str, Any]:
    """Combines metrics with their intervals.

    Args:
        values: Result of `metrics.summarise`.
        bounds: Result of `metrics.interval_of`.

    Returns:
        For each metric its value, low and high, None where they are not defined; and "classwise", for each metric the
        values by class, or None.
    """
    result: dict[str, Any] = {}
    for key, interval in bounds.items():
        low, high = interval or (None, None)
        result[key] = {"value": values[key], "low": low, "high": high}
    classwise = values["classwise"]
    return result | {"classwise": classwise and dict(zip(bounds, classwise, strict=True))}


def metric_line(average: Average, key: str, metric: dict[str, float | None]) -> str:
    """Formats a metric with its interval as a line of text.

    Args:
        average: "macro" or "micro".
        key: Name of the metric.
        metric: Its value, low and high.
    """
    title, form, factor = SHOWN[key]
    value, low, high = (
        "-" if x is None else form.format(factor * x) for x in (metric[k] for k in ("value", "low", "high"))
    )
    return f"{average} {title:<24} {value:>9}  [{low}, {high}]"


def _lists(path: Path) -> dict[str, Path]:
    """A CSV file, or those of a folder and the folders in it, by name without suffix."""
    if path.is_file():
        return {path.stem: path}
    files = sorted(path.rglob("*.csv")) if path.is_dir() else []
    if not files:
        raise UserError(f"{path}: no such file, or no NAME.csv in this folder")
    found: dict[str, Path] = {}
    for file in files:
        if file.stem in found:
            raise UserError(f"{file}: another file of this name is {found[file.stem]}; name a folder with one of them")
        found[file.stem] = file
    return found


def _predicted(true: dict[str, Path], found: Mapping[str, Path]) -> dict[str, Path]:
    """Annotations without the folders of which no recording is predicted, such as those to train on."""
    used = {path.parent for name, path in true.items() if name in found}
    for folder in sorted({path.parent for path in true.values()} - used):
        notice(f"passed over {printable(str(folder))}: none of its recordings is predicted")
    return {name: path for name, path in true.items() if path.parent in used}


def _rows(path: Path, factor: float, distances: bool) -> list[Row]:
    """Events of a file as rows, with distances multiplied by a factor."""
    rows: list[Row] = []
    for event in read_events(path):
        if distances and event.distance is None:
            raise UserError(f"{path}: frame {event.frame} has no distance, which edition 2024 needs; --edition 2023")
        rows.append(row_of(event, factor))
    return rows
