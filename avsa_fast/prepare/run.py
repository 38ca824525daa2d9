"""Preparation runs: resumable conversion of a folder of media to a dataset folder."""

import hashlib
import json
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from avsa_fast.choices import Engine as Engine
from avsa_fast.data.clips import media_names, split_names
from avsa_fast.data.samples import CropChoice
from avsa_fast.detect.weights import DEFAULT_WEIGHTS
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_symlink, atomic_write, remove_abandoned
from avsa_fast.isolation import run_isolated
from avsa_fast.locks import owner_lock
from avsa_fast.progress import show_progress
from avsa_fast.terminal import notice
from avsa_fast.writing import make_subfolder

from .clip import Result
from .find import Job, Source, has_pairs
from .journal import Journal, JournalEntry, file_stamp
from .layouts import Layout, find_source
from .options import PrepareOptions
from .outputs import STATE_FOLDER, TABLES, digest_inputs, is_finished, read_note, remove_media, write_results
from .task import PrepareTask


def prepare_for_crops(
    data: Path, crops: CropChoice, *, detector: str = DEFAULT_WEIGHTS, trust_weights: bool = False, named: bool = True
) -> None:
    """Writes the missing tables of a dataset folder that this choice of crops needs.

    Args:
        data: Dataset folder with video/ and audio/.
        crops: How crops are chosen; only "yolo" needs detections.parquet.
        detector: YOLO weights, used if detections.parquet is missing.
        trust_weights: Whether to load weights of unknown checksum.
        named: Whether the user named the folder. One that only a run names, which may come from elsewhere, is not
            written to.

    Raises:
        UserError: As for `prepare_folder`, or a table is missing from a folder that the user did not name.
    """
    used = detector if crops == "yolo" else None
    if not named and (missing := _missing_tables(data, used)):
        raise UserError(
            f"{data}: has no {missing[0]}; only the run names this folder, so nothing is written there: "
            f"python -m avsa_fast.prepare {data} {data} does it"
        )
    prepare_folder(data, PrepareOptions(detector=used, trust_weights=trust_weights))


def prepare_folder(data: Path, options: PrepareOptions, *, progress: bool = True) -> None:
    """Writes a dataset folder's index.parquet and detections.parquet if they are missing.

    Args:
        data: Dataset folder with video/ and audio/.
        options: How clips are prepared; without a detector, detections.parquet is not written.
        progress: Whether to show a progress bar.

    Raises:
        UserError: As for `prepare`; also if `data` has no folders video/ and audio/, and is then left unchanged.
    """
    missing = _missing_tables(data, options.detector)
    if "detections.parquet" not in missing:
        options = replace(options, detector=None)  # detections would be discarded
    if missing:
        if not data.is_dir():
            raise UserError(f"{data}: no such folder")
        media_names(data)
        prepare(data, data, options, tables=missing, progress=progress)


def prepare(
    source: Path,
    target: Path,
    options: PrepareOptions,
    *,
    workers: int | None = None,
    engine: Engine = "local",
    layout: Layout | None = None,
    tables: Sequence[str] = tuple(TABLES),
    progress: bool = True,
) -> None:
    """Prepares the clips in `source` as the dataset folder `target`: media, index.parquet, detections.parquet, lists.
    If the layout of `source` tells the directions of sounds, they become truth.parquet.

    Media are links to the files in `source`, or transcoded files; if `target` is `source` they stay in place. A run
    that was killed resumes when it is run again, and produces the same bytes; if nothing has changed, it does nothing.
    Unusable clips are reported on stderr, one line per clip, and have a state in the index. Files that belong to no
    clip are reported too.

    Args:
        source: Folder of media.
        target: Dataset folder to create or update.
        options: How clips are prepared.
        workers: Number of processes; by default one per core.
        engine: Processes on this machine, or a Ray cluster.
        layout: Layout of `source`; None: recognised.
        tables: Names of the tables to write.
        progress: Whether to show a progress bar.

    Raises:
        UserError: A folder is unsuitable or not writable, another run is preparing `target`, the detector is not
            available, or no clip is usable.
    """
    source, in_place = source.resolve(), source.resolve() == target.resolve()
    found = find_source(source, target, transcode=options.transcode, layout=layout)
    if in_place and options.transcode:
        raise UserError(f"{target}: cannot be transcoded in place; choose another DST")
    if in_place and not has_pairs(source):
        raise UserError(f"{target}: only a folder with video/ and audio/ is prepared in place; choose another DST")
    jobs, splits = list(found.jobs.values()), _splits(source, found)
    for line in found.passed.lines() + found.notes:
        notice(line)
    digest = options.digest()
    keys = {job.name: _key(job, digest) for job in jobs}
    with owner_lock(target / STATE_FOLDER / "lock", target), _journal(target) as journal:
        _record_source(source, target, in_place)
        left = [job for job in jobs if not _is_prepared(target, journal.entries.get(job.name), keys[job.name])]
        remove_abandoned(target)
        if not in_place:
            for folder in ("video", "audio"):
                remove_abandoned(make_subfolder(target, folder))
        by_name = {job.name: job for job in left}
        # Close explicitly: an exception's traceback would keep the generator, and so its worker processes, alive.
        with closing(_results(left, PrepareTask(options, target, 1), workers, engine, progress)) as results:
            for result in results:
                job = by_name[result.row["name"]]
                media: list[str] = []
                if not in_place:
                    media = _link_media(job, result, target, options.transcode)
                    remove_media(target, journal.entries.get(job.name), keep=media)
                journal.append(keys[job.name], result, media)
        state = digest_inputs(keys, splits, found, journal)
        if left or not is_finished(target, state, tables):
            write_results(source, target, found, splits, journal, tables, state)
        _report(target, [journal.entries[job.name] for job in jobs])


def _missing_tables(data: Path, detector: str | None) -> list[str]:
    """Names of the tables that a dataset folder lacks; without a detector, only the index is needed."""
    return [name for name in TABLES if (detector or name == "index.parquet") and not (data / name).exists()]


def _splits(source: Path, found: Source) -> dict[str, str]:
    """Split of each clip that is used: by the layout, or by the lists in `source`."""
    if found.splits is not None:
        return found.splits
    complete = [job.name for job in found.jobs.values() if job.video and job.sound]
    return split_names(source, list(found.jobs), complete)


def _key(job: Job, options: str) -> str:
    """Hash of everything that a clip's result depends on; `options` is the digest of the options."""
    inputs = [
        options,
        str(job.video),
        file_stamp(job.video),
        str(job.sound),
        file_stamp(job.sound),
        job.begin,
        job.seconds,
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:20]


@contextmanager
def _journal(target: Path) -> Iterator[Journal]:
    journal = Journal(target / STATE_FOLDER / "journal.jsonl")
    try:
        yield journal
    finally:
        journal.close()


def _results(
    jobs: Sequence[Job], task: PrepareTask, workers: int | None, engine: Engine, show: bool
) -> Generator[Result, None, None]:
    if not jobs:
        return
    cores = len(os.sched_getaffinity(0))
    workers = min(workers or cores, len(jobs))
    task = replace(task, threads=max(1, cores // workers))
    if engine == "ray":
        from .ray_engine import run_ray as run
    else:
        run = run_isolated
    with show_progress("preparing clips") if show else nullcontext(_no_progress) as progress:
        progress(0, len(jobs))
        with closing(run(jobs, task, workers)) as results:
            for done, result in enumerate(results, start=1):
                yield result
                progress(done, len(jobs))


def _no_progress(done: int, total: int) -> None:
    pass


def _is_prepared(target: Path, entry: JournalEntry | None, key: str) -> bool:
    return entry is not None and entry.key == key and all((target / path).exists() for path in entry.media)


def _record_source(source: Path, target: Path, in_place: bool) -> None:
    """Records the source of a dataset folder; raises UserError if it holds media that `prepare` did not create."""
    note = target / STATE_FOLDER / "source"
    before = read_note(note)
    if not in_place:
        files = (path for folder in ("video", "audio") for path in (target / folder).glob("[!.]*"))
        has_own_media = before == os.fsencode(target.resolve()) or (
            before is None and any(not path.is_symlink() for path in files)
        )
        if has_own_media:
            raise UserError(
                f"{target}: contains media that prepare did not write; choose a new folder, or prepare it in place "
                "(SRC = DST)"
            )
    if before != os.fsencode(source):
        with atomic_write(note) as part:
            part.write_bytes(os.fsencode(source))


def _link_media(job: Job, result: Result, target: Path, transcoded: bool) -> list[str]:
    """Links a usable clip's media into the dataset folder unless transcoded; returns their relative paths."""
    if result.row["state"] != "ok":
        return []
    if transcoded:
        return [f"video/{job.name}.mp4", f"audio/{job.name}.flac"]
    media = []
    for folder, path in (("video", job.video), ("audio", job.sound)):
        assert path is not None
        link = target / folder / f"{job.name}{path.suffix}"
        atomic_symlink(link, path)
        media.append(f"{folder}/{link.name}")
    return media


def _report(target: Path, entries: Sequence[JournalEntry]) -> None:
    """Prints one line per unusable clip, and their count; raises UserError if no clip is usable."""
    unusable = [entry.row for entry in entries if entry.row["state"] != "ok"]
    for row in unusable:
        notice(f"skipped {row['name']} ({row['state']}): {row['reason']}")
    if len(unusable) == len(entries):
        raise UserError(f"{target}: none of its {len(unusable)} clips is usable; the first: {unusable[0]['reason']}")
    if unusable:
        notice(f"{len(unusable)} of {len(entries)} clips skipped")
