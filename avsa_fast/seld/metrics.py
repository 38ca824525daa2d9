"""Metrics of sound event localisation and detection, as DCASE's task 3 defines them, with intervals over recordings."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from avsa_fast.data.sound_events import SoundEvent

from .tally import EPSILON, QUANTITIES, Floats, Rules, Tally, count_frames, count_segments

Average = Literal["macro", "micro"]
Edition = Literal[2023, 2024]
Row: TypeAlias = Sequence[float]  # frame, class, source, azimuth, elevation (degrees), distance (cm)
Rows: TypeAlias = Sequence[Row] | Mapping[str, Sequence[Row]]  # of one recording, or by recording

# Keys of the results; those of distances are left out of DCASE 2023's.
KEYS: dict[Edition, tuple[str, ...]] = {
    2023: ("error_rate", "f_score", "angular_error", "localisation_recall", "seld_score"),
    2024: (
        "error_rate", "f_score", "angular_error", "distance_error", "relative_distance_error", "localisation_recall",
        "seld_score",
    ),
}  # fmt: skip
RESAMPLES = 2000
CONFIDENCE = 0.95
NOWHERE = 180.0  # degrees, the angle of a class without matches in DCASE 2023


def scores(
    reference: Rows, prediction: Rows, *, n_classes: int, average: Average = "macro", threshold: float = 20.0,
    distance_threshold: float = 1.0, edition: Edition = 2024,
) -> dict[str, Any]:  # fmt: skip
    """Compares predicted sound events with annotated ones.

    Edition 2024 compares frames: `f_score` is the share of events found within the thresholds of angle and relative
    distance error, the errors are those of matched events. Edition 2023 compares segments of one second: it ignores
    distances, and the angle of a class without matches is 180°.

    "macro" averages over all classes: those without events have F and recall 0, and errors are averaged over the
    classes that were localised. "micro" sums over all classes first. Angles are computed as in the official
    evaluation, where equal directions are 8.1e-4° apart.

    Args:
        reference: Annotated events of one recording, rows (frame, class, source, azimuth in degrees, elevation in
            degrees, distance in cm); or such lists by recording. Edition 2023 needs no distance.
        prediction: Predicted events, likewise. Recordings without prediction have none.
        n_classes: Number of classes.
        average: "macro" or "micro".
        threshold: Greatest angle of an event that counts as found, in degrees.
        distance_threshold: Its greatest relative distance error, in edition 2024.
        edition: 2023 or 2024, the year of the challenge whose rules apply.

    Returns:
        "error_rate", "f_score", "angular_error" (degrees), "localisation_recall", "seld_score", and for edition 2024
        "distance_error" (m) and "relative_distance_error"; None if nothing was localised. "classwise" has a list for
        each of these keys, with a value per class, or is None for the average "micro".

    Raises:
        ValueError: An argument or a row is not valid, or a recording is predicted that the reference does not have.
    """
    tally = tallies(
        reference, prediction, n_classes=n_classes, threshold=threshold, distance_threshold=distance_threshold,
        edition=edition,
    )  # fmt: skip
    return summarise(tally, average=average, edition=edition)


def intervals(
    reference: Mapping[str, Sequence[Row]], prediction: Mapping[str, Sequence[Row]], *, n_classes: int,
    average: Average = "macro", threshold: float = 20.0, distance_threshold: float = 1.0, edition: Edition = 2024,
    method: Literal["jackknife", "bootstrap"] = "jackknife",
) -> dict[str, tuple[float, float] | None]:  # fmt: skip
    """Computes 95 % intervals of `scores` over recordings.

    Args:
        reference: Annotated events by recording, as for `scores`.
        prediction: Predicted events by recording.
        n_classes: Number of classes.
        average: "macro" or "micro".
        threshold: As for `scores`.
        distance_threshold: As for `scores`.
        edition: As for `scores`.
        method: "jackknife" leaves out one recording at a time, as DCASE's evaluation does; "bootstrap" resamples
            recordings 2000 times with a fixed seed, and takes percentiles.

    Returns:
        Low and high bound by metric; None with fewer than two recordings, or if a metric is not defined for some of the
        selections of recordings.

    Raises:
        ValueError: As for `scores`, or the method is unknown.
    """
    tally = tallies(
        reference, prediction, n_classes=n_classes, threshold=threshold, distance_threshold=distance_threshold,
        edition=edition,
    )  # fmt: skip
    return interval_of(tally, average=average, edition=edition, method=method)


def row_of(event: SoundEvent, factor: float = 1.0) -> Row:
    """Returns an event as a row, without a distance if it has none.

    Args:
        event: The event.
        factor: Factor of the distance, 100 for metres.
    """
    return event[:5] if event.distance is None else (*event[:5], factor * event.distance)


def tallies(
    reference: Rows, prediction: Rows, *, n_classes: int, threshold: float, distance_threshold: float, edition: Edition
) -> Tally:
    """Counts the events of each recording; see `scores`.

    Returns:
        The counts of R recordings in the order of their names, [R, len(QUANTITIES), n_classes] and [R].
    """
    if edition not in KEYS:
        raise ValueError(f"edition must be 2023 or 2024, not {edition!r}")
    if n_classes < 1:
        raise ValueError(f"n_classes must be at least 1, not {n_classes}")
    for name, value in (("threshold", threshold), ("distance_threshold", distance_threshold)):
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0, not {value}")
    if isinstance(reference, Mapping) != isinstance(prediction, Mapping):
        raise ValueError("reference and prediction must both be lists of rows, or both be dictionaries of such lists")
    true = reference if isinstance(reference, Mapping) else {"the recording": reference}
    found = prediction if isinstance(prediction, Mapping) else {"the recording": prediction}
    if unknown := sorted(found.keys() - true.keys()):
        raise ValueError(f"prediction: {unknown[0]} is not in reference")
    count, rules = count_frames if edition == 2024 else count_segments, Rules(n_classes, threshold, distance_threshold)
    results = [
        count(
            _events(f"reference of {name}", true[name], n_classes, edition),
            _events(f"prediction for {name}", found.get(name, ()), n_classes, edition),
            rules,
        )
        for name in sorted(true)
    ]
    empty = np.zeros((0, len(QUANTITIES), n_classes))
    return Tally(np.array([each.counts for each in results]).reshape(-1, *empty.shape[1:]),
                 np.array([each.errors for each in results], np.float64))  # fmt: skip


def summarise(tally: Tally, *, average: Average, edition: Edition) -> dict[str, Any]:
    """Computes the metrics of all recordings together.

    Args:
        tally: Counts of R recordings.
        average: "macro" or "micro".
        edition: 2023 or 2024.

    Returns:
        As for `scores`.
    """
    overall, classwise = _metrics(_summed(tally, np.ones(len(tally.errors))), average, edition)
    result: dict[str, Any] = {key: _plain(overall[key]) for key in KEYS[edition]}
    result["classwise"] = (
        None if average == "micro" else [[_plain(value) for value in classwise[key]] for key in KEYS[edition]]
    )
    return result


def interval_of(
    tally: Tally, *, average: Average, edition: Edition, method: Literal["jackknife", "bootstrap"]
) -> dict[str, tuple[float, float] | None]:
    """Computes the intervals of `intervals` from counts.

    Args:
        tally: Counts of R recordings.
        average: "macro" or "micro".
        edition: 2023 or 2024.
        method: "jackknife" or "bootstrap".

    Raises:
        ValueError: The method is unknown.
    """
    if method not in ("jackknife", "bootstrap"):
        raise ValueError(f'method must be "jackknife" or "bootstrap", not {method!r}')
    n = len(tally.errors)
    if n < 2:
        return dict.fromkeys(KEYS[edition])
    if method == "bootstrap":
        weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    else:
        weights = 1 - np.eye(n)
    values, _ = _metrics(_summed(tally, weights), average, edition)
    whole, _ = _metrics(_summed(tally, np.ones(n)), average, edition)
    bounds: dict[str, tuple[float, float] | None] = {}
    for key in KEYS[edition]:
        if not np.isfinite(values[key]).all():
            bounds[key] = None
        elif method == "bootstrap":
            low, high = np.percentile(values[key], [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
            bounds[key] = float(low), float(high)
        else:
            bounds[key] = _jackknife(float(whole[key]), values[key])
    return bounds


def _jackknife(whole: float, parts: Floats) -> tuple[float, float]:
    """Interval around the estimate without bias, from the metric of all n recordings and those without one [n]."""
    n, mean = len(parts), float(parts.mean())
    estimate = n * whole - (n - 1) * mean
    deviation = float(np.sqrt((n - 1) * np.mean((parts - mean) ** 2)))
    reach = float(student_t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation
    return estimate - reach, estimate + reach


def _events(where: str, rows: Sequence[Row], n_classes: int, edition: Edition) -> list[SoundEvent]:
    """Rows as events, with finite values and known classes."""
    events = []
    for row in rows:
        valid = len(row) in (5, 6) and all(value is not None and np.isfinite(value) for value in row[:5])
        if not valid or row[0] < 0 or row[0] != int(row[0]) or row[1] != int(row[1]):
            raise ValueError(f"{where}: {tuple(row)} is not frame, class, source, azimuth, elevation, distance")
        if not 0 <= row[1] < n_classes:
            raise ValueError(f"{where}: class {row[1]:g} in frame {row[0]:g}; there are {n_classes}, from 0")
        distance = row[5] if len(row) == 6 else None
        if edition == 2024 and (distance is None or not 0 <= distance < np.inf):
            raise ValueError(
                f"{where}: distance {distance} in frame {row[0]:g}; edition 2024 needs the distance of each event, "
                "edition 2023 none"
            )
        events.append(SoundEvent(int(row[0]), int(row[1]), int(row[2]), float(row[3]), float(row[4]), distance))
    return events


def _summed(tally: Tally, weights: Floats) -> Tally:
    """Sums over recordings, for each selection of them: weights [..., R]."""
    return Tally(np.tensordot(weights, tally.counts, 1), weights @ tally.errors)


def _metrics(tally: Tally, average: Average, edition: Edition) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Metrics of counts [...] over all classes [...], and of each class [..., n_classes]; NaN where not defined."""
    if average not in ("macro", "micro"):
        raise ValueError(f'average must be "macro" or "micro", not {average!r}')
    error_rate = tally.errors / (tally["references"].sum(axis=-1) + EPSILON)
    if average == "micro":
        tally = Tally(tally.counts.sum(axis=-1, keepdims=True), tally.errors)
    near, matched = tally["near"], tally["matched"]
    wrong = tally["far"] + (tally["extra"] + tally["missed"]) / 2
    localised = matched > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = [np.where(localised, tally[name] / matched, np.nan) for name in ("angle", "distance", "relative")]
    angle, distance, relative = errors
    each = {
        "error_rate": np.broadcast_to(error_rate[..., None], near.shape),
        "f_score": near / (near + wrong + EPSILON),
        "angular_error": np.where(localised, angle, NOWHERE) if edition == 2023 else angle,
        "distance_error": distance,
        "relative_distance_error": relative,
        "localisation_recall": matched / (matched + tally["missed"] + EPSILON),
    }
    angular = each["angular_error"] / 180
    if edition == 2023:
        parts = [each["error_rate"], 1 - each["f_score"], angular, 1 - each["localisation_recall"]]
    else:
        parts = [1 - each["f_score"], angular, relative]
    each["seld_score"] = _mean(np.stack(parts), axis=0)
    return {key: _mean(each[key], axis=-1) for key in KEYS[edition]}, {key: each[key] for key in KEYS[edition]}


def _mean(values: Floats, axis: int) -> Floats:
    """Mean over what is defined, else NaN."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, values, 0).sum(axis=axis) / defined.sum(axis=axis)
    return mean


def _plain(value: NDArray[np.float64] | np.float64) -> float | None:
    """A number, or None for NaN."""
    return None if np.isnan(value) else float(value)
