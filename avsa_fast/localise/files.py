"""Localisation of a video: its segments, to a video and a table."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from avsa_fast.choices import MapKind
from avsa_fast.data.describe import Overrides
from avsa_fast.data.one_clip import prepared_description, require_spatial, sound_of
from avsa_fast.data.reader import MediaReader
from avsa_fast.embed.files import checksum
from avsa_fast.embed.media import Source, open_sources
from avsa_fast.errors import UserError
from avsa_fast.export.reading import load_network, weights_file
from avsa_fast.files import atomic_write
from avsa_fast.prepare.journal import file_stamp
from avsa_fast.progress import show_progress
from avsa_fast.run import Run
from avsa_fast.terminal import notice, say

from .assembly import assemble
from .moments import MomentReader
from .objects import ObjectOptions, object_finder
from .render import Plan, render
from .segments import Segments, State, owned_segments, write_segment
from .table import SCHEMA, moments_table


def localise_file(
    run: str, video: Path, out: Path, *, kind: MapKind, crop: bool, rate: float, height: int, sound: Path | None,
    objects: ObjectOptions, overrides: Overrides,
) -> None:  # fmt: skip
    """Localises a video, as `python -m avsa_fast.localise` does.

    Args:
        run: Folder of a run, exported folder or id of one in the hub's cache.
        video: 360° video.
        out: MP4 file to write; the table is written beside it.
        kind: What the maps show.
        crop: Whether to write what a camera sees that follows the loudest object.
        rate: Maps per second.
        height: Maximum number of rows of the video.
        sound: File with the sound; None: found by the video's path.
        objects: Where the objects come from.
        overrides: What the user states about the files.

    Raises:
        UserError: If the run or the video cannot be read, or the result exists or cannot be written.
    """
    loaded = load_network(run)
    sound = sound or sound_of(video)
    options: dict[str, Any] = {
        "weights": checksum(weights_file(loaded)), "map": kind, "crop": crop, "rate": rate, "height": height,
        "files": {str(path.resolve()): file_stamp(path) for path in (video, sound, objects.table(video)) if path},
        "detector": objects.detector, "overrides": asdict(overrides),
    }  # fmt: skip
    options["overrides"]["channels"] = overrides.channels and list(overrides.channels)
    media = _open(video, sound, overrides)
    with owned_segments(out, options) as segments:
        _localise(loaded, media, segments, kind=kind, crop=crop, rate=rate, height=height, objects=objects)
    say(f"{segments.out}, {segments.table}: {media.description.end:.1f} s")


def _open(video: Path, sound: Path, overrides: Overrides) -> MediaReader:
    """Reader of a clip, which is described in another process if it was not prepared."""
    source = Source(video, sound, prepared_description(video, sound, overrides))
    with closing(open_sources([source], overrides)) as sources:
        (opened,) = sources
    if opened.reader is None:
        raise UserError(opened.error)
    description = opened.reader.description
    if description.notes and (description.video is None or description.sound is None):
        raise UserError(description.notes[-1])  # why one of the two cannot be read
    require_spatial(description, video)
    for line in description.notes:
        notice(f"note: {line}")
    return opened.reader


def _localise(
    run: Run, media: MediaReader, segments: Segments, *, kind: MapKind, crop: bool, rate: float, height: int,
    objects: ObjectOptions,
) -> None:  # fmt: skip
    """Writes the missing segments, and then the result."""
    moments = MomentReader(run, media, kind, rate, object_finder(objects, media))
    plan = Plan(media, moments.count, rate, height, kind)
    state = State()
    with show_progress("localising (maps)") as progress:
        for number in range(plan.segments):
            if segments.has(number):
                state = segments.state(number)
                continue
            span, found = plan.span(number), []
            with segments.writing(number) as folder:
                for moment in moments.read(span[0], len(span), state.tracker):
                    found.append(moment)
                    progress(span[0] + len(found), plan.moments)
                camera = None
                if crop:
                    goals = [state.director.goal(moment, rate) for moment in found]
                    camera = state.director.move([moment.time for moment in found], goals, plan.times(number))
                state.camera = [] if camera is None else camera.tolist()
                render(folder / "video.mp4", plan, number, found, camera)
                write_segment(folder, moments_table(found), state)
    with atomic_write(segments.table) as path, pq.ParquetWriter(path, SCHEMA) as writer:
        for number in range(plan.segments):
            writer.write_table(segments.rows(number))
    with atomic_write(segments.out) as path:
        assemble(path, plan, segments, crop=crop)
    segments.remove(range(plan.segments))
