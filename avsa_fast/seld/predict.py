"""`python -m avsa_fast.seld predict`: sound events of files, as resumable lists in DCASE's output format."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from avsa_fast.data.describe import Overrides
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.sound_events import FRAME_SECONDS, event_line
from avsa_fast.embed.media import Opened, Source, find_sources, open_sources
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_write, remove_abandoned, write_text
from avsa_fast.locks import owner_file, owner_lock
from avsa_fast.progress import show_progress
from avsa_fast.terminal import notice, printable, say
from avsa_fast.writing import WriteError, make_folder, make_subfolder, writing

from .config import WEIGHTS, SeldConfig
from .model import Detector, load_detector
from .windows import detect, plan_windows

PART = 64  # windows in a part
OPTIONS = "predictions.json"
MAX_OPTIONS = 100_000  # bytes


def predict_files(model: Path, files: Sequence[Path], out: Path, *, threshold: float, overrides: Overrides) -> None:
    """Predicts the events in files, and writes OUT/NAME.csv for each.

    Args:
        model: Folder of a detector.
        files: Files and folders.
        out: Folder of the predictions; those that are complete there are kept.
        threshold: Activity from which an event is reported.
        overrides: What the user states about the files.

    Raises:
        UserError: The detector or none of the files can be read, files have the same name, or `out` was written with
            another detector or other options.
    """
    if not files:
        raise UserError("no FILES: name sounds, videos with sound, or folders of them")
    detector, config = load_detector(model)
    sources = _by_name(find_sources(files, ("audio",)))
    options = {
        "weights": _checksum(model / WEIGHTS), "threshold": threshold, "gains": overrides.gains,
        "channels": overrides.channels and list(overrides.channels),
    }  # fmt: skip
    skipped = 0
    with owner_lock(owner_file(out.resolve()), out):
        _claim(make_folder(out), options)
        missing = {name: source for name, source in sources.items() if not (out / f"{name}.csv").exists()}
        for name in sources.keys() - missing.keys():
            notice(f"{printable(str(out / name))}.csv is complete already")
            shutil.rmtree(out / f"{name}.csv.parts", ignore_errors=True)  # of a process that was killed at its end
        for name, opened in zip(missing, open_sources(missing.values(), overrides), strict=True):
            try:
                _predict_file(detector, config.seld, _reader(opened), out / f"{name}.csv", threshold)
            except WriteError:
                raise
            except UserError as error:
                skipped += 1
                notice(f"skipped: {error}")
    if skipped == len(sources):
        raise UserError("no predictions: no file could be read")
    say(f"events of {len(sources) - skipped} files in {out}" + (f"; {skipped} skipped" if skipped else ""))


def _predict_file(
    detector: Detector, config: SeldConfig, reader: MediaReader, path: Path, threshold: float
) -> None:  # fmt: skip
    """Writes the events of a file in parts, those first that a killed process left, and joins them."""
    parts = make_subfolder(path.parent, f"{path.name}.parts")
    windows = plan_windows(int(reader.sound.end / FRAME_SECONDS + 1e-6), config.frames)
    names = [parts / f"{begin:09d}.part" for begin in range(0, len(windows), PART)]
    done = next((number for number, name in enumerate(names) if not name.exists()), len(names))
    with show_progress(f"detecting in {printable(path.stem)}") as progress:
        for number, name in enumerate(names[done:], start=done):
            part = windows[number * PART : (number + 1) * PART]  # so that batches, and rounding, are those of any run
            found = detect(detector, reader, part, config, threshold)
            write_text(name, "".join(event_line(event) for events in found for event in events))
            progress(number + 1, len(names))
    _join(names, path)
    with writing(parts):
        shutil.rmtree(parts)


def _join(parts: Iterable[Path], path: Path) -> None:
    """Writes the contents of parts to one file."""
    with atomic_write(path) as whole, whole.open("wb") as file:
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file)


def _by_name(sources: Iterable[Source]) -> dict[str, Source]:
    """Sources by the name of their predictions. Raises UserError if two have the same."""
    found: dict[str, Source] = {}
    for source in sources:
        name = source.path.stem
        if name in found:
            raise UserError(f"{source.path} and {found[name].path} would both be predicted in {name}.csv")
        found[name] = source
    return found


def _reader(opened: Opened) -> MediaReader:
    """The reader of a source, after printing its notes. Raises UserError if its sound cannot be used."""
    if opened.reader is None:
        raise UserError(opened.error)
    if not opened.reader.is_directional("audio"):
        raise UserError(f"{opened.source.path}: its sound has no direction; first-order ambisonics are needed")
    for line in opened.reader.description.notes:
        notice(f"note: {line}")
    return opened.reader


def _claim(out: Path, options: dict[str, Any]) -> None:
    """Writes what the predictions depend on, or raises UserError if a folder depends on something else."""
    path = out / OPTIONS
    if not path.exists():
        remove_abandoned(out)
        if any(out.iterdir()):
            raise UserError(f"--out {out}: is not empty, and holds no {OPTIONS}; name another folder")
        write_text(path, json.dumps(options) + "\n")
        return
    try:
        with path.open("rb") as file:
            before = json.loads(file.read(MAX_OPTIONS))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--out {out}: cannot continue: {path}: {error}; remove the folder") from error
    if before != options:
        raise UserError(f"--out {out} holds predictions of another detector or options; remove it, or name another")


def _checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
