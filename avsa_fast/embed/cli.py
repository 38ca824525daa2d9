"""Command python -m avsa_fast.embed RUN FILES…: embeds media files."""

import hashlib
import json
import sys
from collections.abc import Iterator
from math import degrees, isfinite, pi, radians
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor
from tyro.conf import Positional, arg

from avsa_fast.errors import UserError
from avsa_fast.progress import show_progress
from avsa_fast.run import Run, load_run

from .encode import FRONT, dense_centres, embed_windows, window_seconds
from .media import Media, Modality, ProjectionChoice, find_media, probe
from .store import Parts

PART = 64  # windows per part


def main(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="Folder of a run that train made.")],
    files: Annotated[
        Positional[tuple[str, ...]], arg(metavar="FILES", help="Files and folders; - reads paths from standard input.")
    ],
    out: str = "embeddings.parquet",
    modality: Literal["both", "video", "audio"] = "both",
    hop: float = 1.0,
    directions: tuple[str, ...] = ("0,0",),
    picture: ProjectionChoice = "auto",
    channels: tuple[int, ...] | None = None,
) -> None:
    """Embeds video and sound, a window every --hop seconds: ambisonic, stereo or mono sound, flat or 360° video.

    Memory stays the same however long the files are. Stopped, even killed, the same command goes on where it was.
    A file that cannot be read is reported and left out.

    Args:
        out: A .parquet file with a row a window and direction: file, modality, time, azimuth, elevation, embedding; or
            a .npy array with a .csv of the other columns beside it; or - for lines of JSON as they are made.
        modality: What is embedded of files that have both.
        hop: Seconds from one window to the next.
        directions: To look and listen in, azimuth,elevation in degrees: 0,0 90,0 180,0. Flat video, stereo and mono
            sound have only the front.
        picture: Whether videos are equirectangular (erp) or ordinary (flat); auto takes a picture twice as wide as high
            for an equirectangular one.
        channels: Which channels of every sound are W, Y, Z and X, where a file leaves doubt: 0 1 2 3.
    """
    if not (isfinite(hop) and hop > 0):
        raise UserError(f"--hop {hop}: must be a number of seconds above 0")
    looks = _directions(directions)
    trained = load_run(run)
    wanted: tuple[Modality, ...] = ("video", "audio") if modality == "both" else (modality,)
    if out == "-":
        _stream(trained, _paths(files), wanted, hop, looks, picture, channels)
        return
    paths = find_media(_paths(files))
    choices = {
        "weights": _checksum(run / "weights.safetensors"), "files": [str(path.resolve()) for path in paths],
        "modality": modality, "hop": hop, "directions": list(directions), "picture": picture, "channels": channels and
        list(channels),
    }  # fmt: skip
    parts = Parts(Path(out), choices)
    skipped = 0
    with show_progress("embedding") as progress:
        for number, path in enumerate(paths):
            try:
                media = probe(path, picture, channels)
                for kind in wanted:
                    _fill(parts, trained, media, number, kind, hop, looks)
            except UserError as error:
                skipped += 1
                print(f"skipped: {error}", file=sys.stderr)
            progress(number + 1, len(paths))
    rows = parts.join()
    print(f"{rows} embeddings of {len(paths) - skipped} files in {out}" + (f"; {skipped} skipped" if skipped else ""))


def _fill(parts: Parts, run: Run, media: Media, number: int, modality: Modality, hop: float, looks: Tensor) -> None:
    """Writes the missing parts of a file."""
    if modality not in media.modalities:
        return
    centres = dense_centres(media.seconds(modality), hop, window_seconds(run, modality))
    names = [f"{number:08d}-{modality}-{begin:08d}" for begin in range(0, len(centres), PART)]
    missing = [i for i, name in enumerate(names) if not parts.has(name)]
    if not missing:
        return
    begin = missing[0] * PART  # parts are written in order, so all later ones are missing too
    turned = _turned(looks, media, modality)
    batches = embed_windows(run, media, modality, centres[begin:], turned)
    held = next(batches)
    for name in names[missing[0] :]:
        times = centres[begin : begin + PART]
        while len(held) < len(times):
            held = torch.cat([held, next(batches)])
        parts.add(name, str(media.path), modality, times, turned, held[: len(times)])
        held, begin = held[len(times) :], begin + PART


def _turned(looks: Tensor, media: Media, modality: Modality) -> Tensor:
    """The requested directions, or only the front for media without directions."""
    return looks if media.turns(modality) else FRONT


def _stream(
    run: Run, paths: Iterator[Path], wanted: tuple[Modality, ...], hop: float, looks: Tensor, picture: ProjectionChoice,
    channels: tuple[int, ...] | None,
) -> None:  # fmt: skip
    """Writes JSON lines to standard output while paths are read; reports files that cannot be read."""
    for path in paths:
        try:
            for file in find_media([path]):
                media = probe(file, picture, channels)
                for modality in media.modalities:
                    if modality in wanted:
                        _print_lines(run, media, modality, hop, looks)
        except UserError as error:
            print(f"skipped: {error}", file=sys.stderr)


def _print_lines(run: Run, media: Media, modality: Modality, hop: float, looks: Tensor) -> None:
    """Prints one JSON line per window and direction of a file."""
    centres = dense_centres(media.seconds(modality), hop, window_seconds(run, modality))
    turned = _turned(looks, media, modality)
    windows = (views for batch in embed_windows(run, media, modality, centres, turned) for views in batch)
    for time, views in zip(centres, windows, strict=True):
        for (azimuth, elevation), embedding in zip(turned.tolist(), views.tolist(), strict=True):
            row = {"file": str(media.path), "modality": modality, "time": time}
            print(json.dumps(row | {"azimuth": azimuth, "elevation": elevation, "embedding": embedding}), flush=True)


def _paths(files: tuple[str, ...]) -> Iterator[Path]:
    """The given paths; - is replaced by the paths on standard input."""
    if not files:
        raise UserError("no FILES: name files or folders, or - to read their paths from standard input")
    for file in files:
        if file == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield Path(file)


def _directions(texts: tuple[str, ...]) -> Tensor:
    """Parses "azimuth,elevation" in degrees to float32 [K, 2] in radians."""
    looks = []
    for text in texts:
        try:
            azimuth, elevation = (radians(float(part)) for part in text.split(","))
        except ValueError:
            raise UserError(f"--directions {text}: expected azimuth,elevation in degrees, as in 90,0") from None
        if not (isfinite(azimuth) and abs(elevation) <= pi / 2):
            raise UserError(f"--directions {text}: the elevation must be within ±{degrees(pi / 2):g} degrees")
        looks.append((azimuth, elevation))
    if not looks:
        raise UserError("--directions: at least one is needed")
    return torch.tensor(looks, dtype=torch.float32)


def _checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
