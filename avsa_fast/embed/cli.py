"""Options of `python -m avsa_fast.embed`, and the embedding of files."""

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

from avsa_fast.data.media_folders import find_media
from avsa_fast.errors import UserError
from avsa_fast.progress import show_progress
from avsa_fast.run import Modality, Run, load_run

from .encode import FRONT, dense_centres, embed_windows, window_seconds
from .media import Media, ProjectionChoice, probe_media
from .store import Parts

PART_WINDOWS = 64  # windows per part
Part = tuple[str, str, Modality, list[float], Tensor, Tensor]  # arguments of Parts.add


def main(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILES")],
    out: str = "embeddings.parquet",
    modality: Literal["both", "video", "audio"] = "both",
    hop: float = 1.0,
    directions: tuple[str, ...] = ("0,0",),
    picture: ProjectionChoice = "auto",
    channels: tuple[int, ...] | None = None,
) -> None:
    """Embeds video and sound, one window every --hop seconds: ambisonic, stereo or mono sound, flat or 360° video.

    Memory use does not grow with the length of the files. After an interruption, the same command continues from where
    it stopped. Files that cannot be read are reported and skipped.

    Args:
        run: Folder of a training run.
        files: Files and folders; - reads paths from standard input.
        out: A .parquet file with one row per window and direction (file, modality, time, azimuth, elevation,
            embedding); or a .npy array with a .csv of the other columns beside it; or - for JSON lines, written as they
            are computed.
        modality: What to embed of files that have both.
        hop: Seconds from one window to the next.
        directions: Directions of the views, azimuth,elevation in degrees: 0,0 90,0 180,0. Flat video, stereo and mono
            sound have only the front.
        picture: Whether videos are equirectangular (erp) or ordinary (flat); auto assumes erp for frames that are twice
            as wide as high.
        channels: Indices of the channels W, Y, Z and X of every sound, if files are ambiguous: 0 1 2 3.

    Raises:
        UserError: If an option is invalid, or the run or none of the files can be read.
    """
    if not (isfinite(hop) and hop > 0):
        raise UserError(f"--hop {hop}: must be a number of seconds above 0")
    views = _parse_directions(directions)
    loaded = load_run(run)
    modalities: tuple[Modality, ...] = ("video", "audio") if modality == "both" else (modality,)
    if out == "-":
        _stream(loaded, _input_paths(files), modalities, hop, views, picture, channels)
        return
    paths = find_media(_input_paths(files))
    options = {
        "weights": _checksum(run / "weights.safetensors"), "files": [str(path.resolve()) for path in paths],
        "modality": modality, "hop": hop, "directions": list(directions), "picture": picture, "channels": channels and
        list(channels),
    }  # fmt: skip
    parts = Parts(Path(out), options)
    skipped: list[Path] = []

    def missing_parts(number: int, path: Path) -> Iterator[Part]:
        try:
            media = probe_media(path, picture, channels)
            for kind in modalities:
                yield from _missing_parts(parts, loaded, media, number, kind, hop, views)
        except UserError as error:
            skipped.append(path)
            print(f"skipped: {error}", file=sys.stderr)

    with show_progress("embedding") as progress:
        for number, path in enumerate(paths):
            # Errors of `add` end the command: they are not errors of the file.
            for part in missing_parts(number, path):
                parts.add(*part)
            progress(number + 1, len(paths))
    rows = parts.join()
    files_read = len(paths) - len(skipped)
    print(f"{rows} embeddings of {files_read} files in {out}" + (f"; {len(skipped)} skipped" if skipped else ""))


def _missing_parts(
    parts: Parts, run: Run, media: Media, number: int, modality: Modality, hop: float, directions: Tensor
) -> Iterator[Part]:
    """Embeds the windows of a file whose parts are missing."""
    if modality not in media.modalities:
        return
    centres = dense_centres(media.seconds(modality), hop, window_seconds(run, modality))
    names = [f"{number:08d}-{modality}-{begin:08d}" for begin in range(0, len(centres), PART_WINDOWS)]
    missing = [i for i, name in enumerate(names) if not parts.has(name)]
    if not missing:
        return
    begin = missing[0] * PART_WINDOWS  # parts are written in order, so all later ones are missing too
    directions = _available_directions(directions, media, modality)
    batches = embed_windows(run, media, modality, centres[begin:], directions)
    pending = next(batches)
    for name in names[missing[0] :]:
        times = centres[begin : begin + PART_WINDOWS]
        while len(pending) < len(times):
            pending = torch.cat([pending, next(batches)])
        yield name, str(media.path), modality, times, directions, pending[: len(times)]
        pending, begin = pending[len(times) :], begin + PART_WINDOWS


def _available_directions(directions: Tensor, media: Media, modality: Modality) -> Tensor:
    """The requested directions, or only the front for media without directions."""
    return directions if media.directional(modality) else FRONT


def _stream(
    run: Run, paths: Iterator[Path], modalities: tuple[Modality, ...], hop: float, directions: Tensor,
    picture: ProjectionChoice, channels: tuple[int, ...] | None,
) -> None:  # fmt: skip
    """Writes JSON lines to standard output while paths are read; reports files that cannot be read."""
    for path in paths:
        try:
            for file in find_media([path]):
                media = probe_media(file, picture, channels)
                for modality in media.modalities:
                    if modality in modalities:
                        _print_lines(run, media, modality, hop, directions)
        except UserError as error:
            print(f"skipped: {error}", file=sys.stderr)


def _print_lines(run: Run, media: Media, modality: Modality, hop: float, directions: Tensor) -> None:
    """Prints one JSON line per window and direction of a file."""
    centres = dense_centres(media.seconds(modality), hop, window_seconds(run, modality))
    directions = _available_directions(directions, media, modality)
    windows = (views for batch in embed_windows(run, media, modality, centres, directions) for views in batch)
    for time, views in zip(centres, windows, strict=True):
        for (azimuth, elevation), embedding in zip(directions.tolist(), views.tolist(), strict=True):
            row = {"file": str(media.path), "modality": modality, "time": time}
            print(json.dumps(row | {"azimuth": azimuth, "elevation": elevation, "embedding": embedding}), flush=True)


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


def _checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
