"""Builds a dataset of synthetic scenes with ground truth, as media files."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from avsa_fast.choices import SceneFormat
from avsa_fast.data.describe import Overrides, inspect
from avsa_fast.data.encode_video import FPS, write_video
from avsa_fast.data.rows import inspected_row
from avsa_fast.data.tables import DETECTIONS, INDEX, TRUTH, write_table
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_folder, write_text
from avsa_fast.locks import owner_file, owner_lock
from avsa_fast.scenes import starss
from avsa_fast.scenes.recorded_material import Objects, Panoramas
from avsa_fast.scenes.scene import SOURCES, Material, Scene, draw_scene
from avsa_fast.scenes.sound import read_room, write_sound
from avsa_fast.writing import writing

MIN_SECONDS, MAX_SECONDS = 1.0, 600.0
MIN_DISTANCE = 0.01
HELD_OUT = 0.2  # fraction of scenes in the test split

T = TypeVar("T")
Row = dict[str, Any]
Record = tuple[Row, list[Row]]  # a scene's row of the index, and one row per source and frame
# Writes a scene: folder, name, split, scene, its video, and the material of all scenes.
Writer = Callable[[Path, str, str, Scene, Iterator[NDArray[np.uint8]], Material], Record]


def build_scenes(
    out: Path,
    *,
    count: int,
    seconds: float,
    seed: int,
    objects: Path | None = None,
    panoramas: Path | None = None,
    rir: Path | None = None,
    distance: float = 1.0,
    sources: int | None = None,
    format: SceneFormat = "dataset",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Writes a dataset folder of scenes: media, index.parquet, truth.parquet, train.txt and test.txt.

    The last fifth of the scenes is the test split. The same seed and material give the same scenes, whatever their
    count. With procedural objects, which no detector knows, detections.parquet is written from the ground truth. The
    folder is created atomically: if the build is interrupted, nothing is left, or what is left is removed by the next
    build beside it.

    Args:
        out: Folder to create; it may exist if it is empty.
        count: Number of scenes.
        seconds: Length of each scene, 1 to 600.
        seed: Seed of the random generators, at least 0.
        objects: Folder of cut-out photographs with sounds; see `Objects`. None: procedural objects.
        panoramas: Folder of equirectangular images; None: procedural panoramas.
        rir: First-order room impulse response (ACN, N3D); None: a free field.
        distance: Distance of the sources, as a fraction of that at which `rir` was measured, 0.01 to 1.
        sources: Sources of each scene, 1 to 4; None: 4 procedural ones, or 3 or 4 recorded ones.
        format: "dataset", or "starss" for a tree like that of STARSS23 (`scenes.starss`) and classes.txt.
        progress: Called with the number of scenes done and their total.

    Raises:
        UserError: An argument is out of range, a file is unreadable, or `out` is not empty or not writable.
    """
    if count < 1:
        raise UserError(f"--count {count} must be at least 1")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise UserError(f"--seconds {seconds} must be between {MIN_SECONDS:g} and {MAX_SECONDS:g}")
    if seed < 0:
        raise UserError(f"--seed {seed} must be at least 0")
    if not MIN_DISTANCE <= distance <= 1:
        raise UserError(f"--distance {distance} must be between {MIN_DISTANCE:g} and 1, the distance of the response")
    if distance != 1 and rir is None:
        raise UserError(f"--distance {distance} requires --rir: in a free field, the distance changes nothing")
    if sources is not None and not 1 <= sources <= SOURCES:
        raise UserError(f"--sources {sources} must be between 1 and {SOURCES}")
    material = Material(
        Objects(objects) if objects else None,
        Panoramas(panoramas) if panoramas else None,
        read_room(rir, distance) if rir else None,
        distance,
        sources,
    )
    frame_count = round(seconds * FPS)
    with _new_folder(out) as folder:
        if format == "starss":
            starss.make_folders(folder, ["train", "test"] if count > 1 else ["train"])
            _build_all(folder, count, frame_count, seed, material, _write_starss, progress)
            write_text(folder / "classes.txt", "\n".join(material.classes) + "\n")
            return
        for name in ("video", "audio"):
            (folder / name).mkdir()
        records = _build_all(folder, count, frame_count, seed, material, _write_clip, progress)
        _write_tables(folder, records, detected=material.objects is None)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yields a temporary folder that replaces `out` at the end, and is removed on an error."""
    out = out.resolve()
    with owner_lock(owner_file(out), out):
        with writing(out):
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise UserError(f"{out}: exists and is not an empty folder")
        with atomic_folder(out) as part:
            yield part


def _build_all(
    folder: Path, count: int, frame_count: int, seed: int, material: Material, write: Writer,
    progress: Callable[[int, int], None],
) -> list[Record]:  # fmt: skip
    """Builds all scenes in threads, since NumPy and the encoders release the GIL; returns their records in order.

    The threads are daemons: an error ends the command although they still draw long scenes.
    """
    held_out = max(1, round(HELD_OUT * count)) if count > 1 else 0
    stopped = Event()

    def build(number: int) -> tuple[int, Record | BaseException]:
        split = "test" if number >= count - held_out else "train"
        try:
            return number, _build_one(folder, number, split, frame_count, seed, material, write, stopped)
        except BaseException as error:  # of which the pool would lose all that are no Exception
            return number, error

    with ThreadPool(min(count, os.cpu_count() or 1)) as pool:
        try:
            return _collect(pool.imap_unordered(build, range(count)), count, progress)
        except BaseException:
            stopped.set()
            raise


def _collect(
    numbered: Iterator[tuple[int, Record | BaseException]], count: int, progress: Callable[[int, int], None]
) -> list[Record]:
    """Waits for all records; returns them in the order of their numbers, or raises the first error."""
    records: dict[int, Record] = {}
    for number, record in numbered:
        if isinstance(record, BaseException):
            raise record
        records[number] = record
        progress(len(records), count)
    return [records[number] for number in range(count)]


def _build_one(
    folder: Path, number: int, split: str, frame_count: int, seed: int, material: Material, write: Writer,
    stopped: Event,
) -> Record:  # fmt: skip
    scene = draw_scene(np.random.default_rng([seed, number]), frame_count, material)
    return write(folder, f"scene{number:04d}-0", split, scene, _until_stopped(stopped, scene.frames()), material)


def _write_clip(
    folder: Path, name: str, split: str, scene: Scene, frames: Iterator[NDArray[np.uint8]], material: Material
) -> Record:
    """Writes a scene's files of a dataset folder, and describes them."""
    video, sound = folder / "video" / f"{name}.mp4", folder / "audio" / f"{name}.flac"
    write_video(video, frames)
    write_sound(sound, scene.sound)
    clip = inspected_row(name, inspect(video, sound, Overrides((0, 1, 2, 3), "sn3d", "erp")))
    return clip | {"split": split}, _truth_rows(name, scene)


def _write_starss(
    folder: Path, name: str, split: str, scene: Scene, frames: Iterator[NDArray[np.uint8]], material: Material
) -> Record:
    """Writes a scene's files of a tree like STARSS23's, which has no tables."""
    starss.write_scene(folder, name, split, scene, frames, material.classes)
    return {}, []


def _until_stopped(stopped: Event, items: Iterator[T]) -> Iterator[T]:
    """Yields the items; raises CancelledError once the build is stopped."""
    for item in items:
        if stopped.is_set():
            raise CancelledError
        yield item


def _truth_rows(name: str, scene: Scene) -> list[Row]:
    """Returns one row per source and frame, for truth.parquet and detections.parquet."""
    rows: list[Row] = []
    for number, (source, track, gain) in enumerate(zip(scene.sources, scene.tracks, scene.gains, strict=True)):
        width, height = source.sprite.angular_size
        identity = {"name": name, "source": number, "class": source.label, "gain": gain}
        size = {"width": width, "height": height, "score": 1.0}
        for time, (azimuth, elevation) in zip(scene.times, track.at(scene.times), strict=True):
            rows.append({**identity, **size, "time": time, "azimuth": azimuth, "elevation": elevation})
    return rows


def _write_tables(folder: Path, records: list[Record], *, detected: bool) -> None:
    clips = [clip for clip, _ in records]
    truth = [row for _, rows in records for row in rows]
    write_table(folder / "truth.parquet", truth, TRUTH)
    write_table(folder / "index.parquet", clips, INDEX)
    if detected:
        write_table(folder / "detections.parquet", truth, DETECTIONS)
    for split in ("train", "test"):
        names = [clip["name"] for clip in clips if clip["split"] == split]
        if names:
            write_text(folder / f"{split}.txt", "\n".join(names) + "\n")
