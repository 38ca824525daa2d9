"""`prepare --check`: a summary of a prepared dataset, and what is not right with its clips."""

import json
from collections import Counter
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from avsa_fast.data.recordings import recording_of
from avsa_fast.data.tables import DETECTIONS, INDEX, read_columns, read_table
from avsa_fast.errors import UserError
from avsa_fast.terminal import printable

from .agreement import ALTERNATIVES, MIN_SIGMAS, Objects, Sounds, agreement, disagreement
from .duplicates import nearest
from .hints import Hint, hints_of
from .summary import summary

MAX_SOUND_BITS, MAX_PICTURE_BITS = 20, 8  # of 128, by which fingerprints of nearly equal clips differ
MAX_COMPARED = 1000  # recordings whose sounds and pictures are compared with each other
FEW_OBJECTS = (
    "crops of AVSA then have random directions: lower --confidence, try --detector-views tiles, or remove such clips"
)

Row = dict[str, Any]


def check(data: Path, console: Console | None = None, *, as_json: bool = False) -> None:
    """Prints a summary of a dataset folder and hints about its clips, one per line, or the hints as JSON.

    Args:
        data: Dataset folder.
        console: Console to print to; by default a new one on stdout.
        as_json: Whether to print one JSON document, which docs/data.md describes.

    Raises:
        UserError: The folder is not prepared, or its tables cannot be read.
    """
    index, detections = data / "index.parquet", data / "detections.parquet"
    if not index.exists():
        raise UserError(f"{index}: no such file; python -m avsa_fast.prepare SRC {data} creates it")
    console = console or Console()
    rows = read_table(index, INDEX)
    found = read_columns(detections, DETECTIONS) if detections.exists() else None
    about_all, about_clips = find_hints(rows, found)
    if as_json:
        document = json.dumps(_document(data, rows, about_all, about_clips), ensure_ascii=False, allow_nan=False)
        console.print(document, highlight=False, markup=False, soft_wrap=True)
        return
    for table in summary(data, rows, found):
        console.print(table)
    lines = [f"{row['name']}: {row['state']}: {row['reason']}" for row in rows if row["state"] != "ok"]
    lines += [f"all clips: {hint.message} [{hint.code}]" for hint in about_all]
    lines += [f"{name}: {hint.message} [{hint.code}]" for name, hints in about_clips.items() for hint in hints]
    for line in lines:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def find_hints(rows: list[Row], found: pa.Table | None) -> tuple[list[Hint], dict[str, list[Hint]]]:
    """Finds what is not right with a dataset.

    Args:
        rows: Rows of its index.
        found: Its detections; None: objects were not searched.

    Returns:
        Hints about the dataset, and those about each usable clip that has any.
    """
    usable = [row for row in rows if row["state"] == "ok"]
    about_all: list[Hint] = []
    about_clips = {row["name"]: list(hints_of(row)) for row in usable}
    for name, hint in _duplicates(usable).items():
        about_clips[name].append(hint)
    objects = _objects(found) if found is not None else {}
    if found is not None and usable and not objects.keys() & about_clips.keys():
        about_all.append(Hint("no_objects", f"no objects in any clip; {FEW_OBJECTS}", len(usable)))
    elif found is not None:
        for name in about_clips.keys() - objects.keys():
            about_clips[name].append(Hint("no_objects", f"no objects found; {FEW_OBJECTS}", 0))
    sounds = {row["name"]: _sounds(row) for row in usable if row["moment_azimuths"] and row["name"] in objects}
    for name, heard in sounds.items():
        if judged := disagreement(heard, objects[name]):
            about_clips[name].append(
                Hint(
                    "directions",
                    f"sound and picture disagree: the nearest object is {judged.angle:.0f}° from where the sound comes "
                    f"from (median), and {judged.alternative:.0f}° if the sound is {judged.name} "
                    f"(e^{judged.odds:.0f} times as likely)",
                    judged.angle,
                )
            )
    return about_all + _common_directions(sounds, objects), {
        name: hints for name, hints in about_clips.items() if hints
    }


def _common_directions(sounds: dict[str, Sounds], objects: dict[str, Objects]) -> list[Hint]:
    """Whether the sounds of all clips are turned or mirrored against the pictures; one clip per recording counts."""
    names = list({recording_of(name) or name: name for name in sounds}.values())
    names = names[:: -(-len(names) // MAX_COMPARED) or 1]
    sigmas = agreement([sounds[name] for name in names], [objects[name] for name in names])
    if not sigmas:
        return []
    best = max(ALTERNATIVES, key=lambda name: sigmas[name])
    if sigmas[best] < MIN_SIGMAS or sigmas[best] - sigmas["as read"] < MIN_SIGMAS:
        return []
    return [
        Hint(
            "directions",
            f"sound and picture agree if the sound is {best}: sounds are then nearer to the objects of their own "
            f"recording than to those of others by {sigmas[best]:.1f} standard deviations ({sigmas['as read']:.1f} as "
            f"read; {len(names)} recordings); check --channels, or turn the sound or the video",
            sigmas[best],
        )
    ]


def _duplicates(usable: list[Row]) -> dict[str, Hint]:
    """Hints about test clips that nearly equal a training clip."""
    splits = {split: [row for row in usable if row["split"] == split] for split in ("test", "train")}
    parts: dict[str, list[str]] = {}
    distances: dict[str, int] = {}
    for what, limit in (("sound", MAX_SOUND_BITS), ("picture", MAX_PICTURE_BITS)):
        prints = {split: [row[f"{what}_print"] for row in of_split] for split, of_split in splits.items()}
        for number, match in nearest(prints["test"], prints["train"], limit).items():
            name, other = splits["test"][number]["name"], splits["train"][match.other]["name"]
            parts.setdefault(name, []).append(f"its {what} that of {other} ({match.distance} of 128 bits differ)")
            distances.setdefault(name, match.distance)
    return {
        name: Hint(
            "duplicate",
            f"nearly equals clips to train on: {', '.join(lines)}; results on it will be too good: put both into one "
            "split, or remove one",
            distances[name],
        )
        for name, lines in parts.items()
    }


def _sounds(row: Row) -> Sounds:
    """The directions that a clip's sound comes from."""
    azimuths, elevations = (np.array(row[f"moment_{name}"], np.float64) for name in ("azimuths", "elevations"))
    y, z, x = np.cos(elevations) * np.sin(azimuths), np.sin(elevations), np.cos(elevations) * np.cos(azimuths)
    return Sounds(np.array(row["moment_times"], np.float64), np.stack([y, z, x], axis=1))


def _objects(found: pa.Table) -> dict[str, Objects]:
    """The detections of each clip that has any."""
    names = found["name"].combine_chunks().dictionary_encode()
    numbers = names.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    times, azimuths = (
        np.split(found[name].to_numpy()[order].astype(np.float64), starts[1:]) for name in ("time", "azimuth")
    )
    clips = names.dictionary.take(pa.array(numbers[order][starts])).to_pylist()
    return {name: Objects(*columns) for name, *columns in zip(clips, times, azimuths, strict=True)} if clips else {}


def _document(data: Path, rows: list[Row], about_all: list[Hint], about_clips: dict[str, list[Hint]]) -> dict[str, Any]:
    """The JSON document."""
    hints = [hint.code for hints in about_clips.values() for hint in hints]
    return {
        "dataset": str(data),
        "states": dict(Counter(row["state"] for row in rows)),
        "hints": [_fields(hint) for hint in about_all],
        "codes": dict(Counter(hints)),
        "clips": [
            {key: row[key] for key in ("name", "split", "state", "reason")}
            | {"hints": [_fields(hint) for hint in about_clips.get(row["name"], [])]}
            for row in rows
        ],
    }


def _fields(hint: Hint) -> dict[str, Any]:
    """A hint for JSON, which has no infinity."""
    is_infinite = isinstance(hint.value, float) and not isfinite(hint.value)
    return hint._asdict() | ({"value": None} if is_infinite else {})
