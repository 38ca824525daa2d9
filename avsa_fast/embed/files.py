"""Embedding of files: windows and directions of each, to a resumable result or as JSON lines."""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from math import degrees, isfinite, pi, radians
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from avsa_fast.data.describe import Overrides
from avsa_fast.data.reader import MediaReader, Modality
from avsa_fast.errors import UserError
from avsa_fast.progress import show_progress
from avsa_fast.run import Run, load_run
from avsa_fast.terminal import notice, printable, say

from .encode import FRONT, dense_centres, embed_windows, window_seconds
from .media import Opened, Source, find_sources, open_sources
from .store import Parts, owned_parts

PART_WINDOWS = 64  # windows per part
Part = tuple[str, str, Modality, list[float], Tensor, Tensor]  # arguments of Parts.add


def embed_files(
    run: Path, files: tuple[str, ...], *, out: str, modality: Literal["both", "video", "audio"], hop: float,
    directions: tuple[str, ...], overrides: Overrides,
) -> None:  # fmt: skip
    """Embeds files, as `python -m avsa_fast.embed` does.

    Args:
        run: Folder of a training run.
        files: Files and folders; - reads paths from standard input.
        out: A .parquet or .npy file, or - for JSON lines.
        modality: What to embed of files that have both.
        hop: Seconds from one window to the next.
        directions: Directions of the views, "azimuth,elevation" in degrees.
        overrides: What the user states about the files.

    Raises:
        UserError: If the directions are invalid, or the run or none of the files can be read.
    """
    views = _parse_directions(directions)
    loaded = load_run(run)
    modalities: tuple[Modality, ...] = ("video", "audio") if modality == "both" else (modality,)
    if out == "-":
        for opened in open_sources(_streamed_sources(_input_paths(files), modalities), overrides):
            _print_source(loaded, opened, hop, views)
        return
    sources = find_sources(_input_paths(files), modalities)
    options = {
        "weights": checksum(run / "weights.safetensors"), "files": [str(source.path.resolve()) for source in sources],
        "modality": modality, "hop": hop, "directions": list(directions), "projection": overrides.projection,
        "channels": overrides.channels and list(overrides.channels), "gains": overrides.gains,
    }  # fmt: skip
    skipped = 0
    with owned_parts(Path(out), options) as parts, show_progress("embedding") as progress:
        for number, opened in enumerate(open_sources(sources, overrides)):
            missing = _missing_parts(parts, loaded, opened, number, hop, views)
            while True:
                try:
                    part = next(missing, None)
                except UserError as error:
                    skipped += 1
                    notice(f"skipped: {error}")
                    break
                if part is None:
                    break
                parts.add(*part)  # an error of the result, unlike one of the file, ends the command
            progress(number + 1, len(sources))
        rows = parts.join()
    say(f"{rows} embeddings of {len(sources) - skipped} files in {out}" + (f"; {skipped} skipped" if skipped else ""))


def _opened_reader(opened: Opened) -> MediaReader:
    """The reader of an opened source, after printing its notes. Raises UserError if it cannot be read."""
    if opened.reader is None:
        raise UserError(opened.error)
    for line in opened.reader.description.notes:
        notice(f"note: {line}")
    return opened.reader


def _missing_parts(
    parts: Parts, run: Run, opened: Opened, number: int, hop: float, directions: Tensor
) -> Iterator[Part]:
    """Embeds the windows of a source whose parts are missing."""
    media = _opened_reader(opened)
    for modality in media.modalities:
        centres = dense_centres(media.track(modality).end, hop, window_seconds(run, modality))
        names = [f"{number:08d}-{modality}-{begin:08d}" for begin in range(0, len(centres), PART_WINDOWS)]
        missing = [i for i, name in enumerate(names) if not parts.has(name)]
        if not missing:
            continue
        begin = missing[0] * PART_WINDOWS  # parts are written in order, so all later ones are missing too
        views = _available_directions(directions, media, modality)
        batches = embed_windows(run, media, modality, centres[begin:], views)
        pending = next(batches)
        for name in names[missing[0] :]:
            times = centres[begin : begin + PART_WINDOWS]
            while len(pending) < len(times):
                pending = torch.cat([pending, next(batches)])
            yield name, printable(str(media.track(modality).path)), modality, times, views, pending[: len(times)]
            pending, begin = pending[len(times) :], begin + PART_WINDOWS


def _available_directions(directions: Tensor, media: MediaReader, modality: Modality) -> Tensor:
    """The requested directions, or only the front for media without directions."""
    return directions if media.is_directional(modality) else FRONT


def _streamed_sources(paths: Iterator[Path], modalities: Sequence[Modality]) -> Iterator[Source]:
    """Sources in each path as it is read; paths that do not exist are reported."""
    for path in paths:
        try:
            yield from find_sources([path], modalities)
        except UserError as error:
            notice(f"skipped: {error}")


def _print_source(run: Run, opened: Opened, hop: float, directions: Tensor) -> None:
    """Writes one JSON line per window and direction to standard output; reports a source that cannot be read."""
    try:
        media = _opened_reader(opened)
        for modality in media.modalities:
            centres = dense_centres(media.track(modality).end, hop, window_seconds(run, modality))
            views = _available_directions(directions, media, modality)
            windows = (each for batch in embed_windows(run, media, modality, centres, views) for each in batch)
            for time, embeddings in zip(centres, windows, strict=True):
                for (azimuth, elevation), embedding in zip(views.tolist(), embeddings.tolist(), strict=True):
                    row = {"file": printable(str(media.track(modality).path)), "modality": modality, "time": time}
                    row |= {"azimuth": azimuth, "elevation": elevation, "embedding": embedding}
                    say(json.dumps(row))
    except UserError as error:
        notice(f"skipped: {error}")


def _input_paths(files: tuple[str, ...]) -> Iterator[Path]:
    """The given paths; - is replaced by the paths on standard input."""
    if not files:
        raise UserError("no FILES: name files or folders, or - to read paths from standard input")
    for file in files:
        if file == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield Path(file)


def _parse_directions(texts: tuple[str, ...]) -> Tensor:
    """Parses "azimuth,elevation" in degrees to float32 [K, 2] in radians."""
    directions = []
    for text in texts:
        try:
            azimuth, elevation = (radians(float(part)) for part in text.split(","))
        except ValueError:
            raise UserError(f"--directions {text}: expected azimuth,elevation in degrees, as in 90,0") from None
        if not (isfinite(azimuth) and abs(elevation) <= pi / 2):
            raise UserError(f"--directions {text}: the elevation must be within ±{degrees(pi / 2):g} degrees")
        directions.append((azimuth, elevation))
    if not directions:
        raise UserError("--directions: at least one is needed")
    return torch.tensor(directions, dtype=torch.float32)


def checksum(path: Path) -> str:
    """Returns the SHA-256 of a file.

    Args:
        path: The file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
