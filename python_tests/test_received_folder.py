"""Dataset folders received from a stranger, full of tricks: no command changes anything outside of them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.forked import Forked
from helpers.media import write_sound
from helpers.received import (
    CLIPS,
    LINKED_FILES,
    STATE_FILES,
    command,
    ended,
    forge_records,
    made,
    outside,
    received,
    replaced,
    surroundings,
    training,
    write_table,
)

__all__ = ["command", "made", "outside"]
# Names of users that resemble those of temporary files, of this version or an earlier one.
HIDDEN = (
    "notes/.my.party-plan.txt", "video/.download.part1.rar", ".x.123.part", "video/.y.mp4.99.part",
    "audio/.z.flac.1.part", ".index.parquet.77.part", ".prepare/.journal.jsonl.5.part", ".avsa_fast/notes.txt",
    ".folder.42.part/photo.txt",
)  # fmt: skip


def state_file(name: str) -> Callable[[Path, Path], None]:
    return lambda data, outside: replaced(data / ".prepare" / name, outside / name)


def file(name: str) -> Callable[[Path, Path], None]:
    return lambda data, outside: replaced(data / name, outside / name)


def dangling(data: Path, outside: Path) -> None:
    """Links to files that are missing, which opening for writing would create."""
    for name in LINKED_FILES[:-1]:
        replaced(data / name, outside / f"new-{name}")
    for name in STATE_FILES:
        replaced(data / ".prepare" / name, outside / f"new-{name}")


def state_folder(name: str) -> Callable[[Path, Path], None]:
    return lambda data, outside: replaced(data / name, outside / "place")


def journal_media(data: Path, outside: Path) -> None:
    """Journal lines of clips of every kind, with files of others, each on a line of its own."""
    (data / "elsewhere").symlink_to(outside)
    (data / "audio" / "elsewhere").symlink_to(outside)
    paths = (
        "../outside/precious.txt", str(outside / "precious.mp4"), "video/../../outside/done", "video/../elsewhere/done",
        "audio/elsewhere/precious.txt", "elsewhere/precious.txt", "../outside/precious.txt/",
    )  # fmt: skip
    write_journal(data, dict(zip((*CLIPS, "gone1", "../outside/precious", "gone2"), paths, strict=True)))


def journal_folders(data: Path, outside: Path) -> None:
    """The same with folders."""
    names = (*CLIPS, "gone1", "gone2")
    write_journal(data, dict(zip(names, ("../outside/place", "video", ".", "", "audio/..", "/"), strict=True)))


def write_journal(data: Path, media: dict[str, str]) -> None:
    """Replaces the journal's lines by those of clips that are to be prepared anew, with these paths of media."""
    journal = data / ".prepare" / "journal.jsonl"
    head, _, tail = journal.read_text().splitlines()[0].partition("\t")
    entry, lines = json.loads(head), []
    for name, path in media.items():
        changed = entry | {"key": "other", "media": [path], "row": entry["row"] | {"name": name}}
        lines.append(f"{json.dumps(changed)}\t{tail}\n")
    journal.write_text("".join(lines))


def pipes(data: Path, outside: Path) -> None:
    """Pipes, which block who opens them, in place of files."""
    for path in (*(data / ".prepare" / name for name in STATE_FILES), data / "train.txt", data / "index.parquet"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)


def names(data: Path, outside: Path) -> None:
    """Tables and lists with names that lead out of the folder."""
    table = pq.read_table(data / "index.parquet")
    wrong = ["../../outside/precious", str(outside / "precious"), "../outside/media/video/a", "a"]
    at = table.schema.get_field_index("name")
    pq.write_table(table.set_column(at, "name", pa.array(wrong[: len(table)])), data / "index.parquet")
    write_table(data / "detections.parquet", {"name": pa.array(wrong)})
    (data / "train.txt").write_text("".join(f"{name}\n" for name in wrong))
    (data / "test.txt").write_text("../../outside/precious\nb\n")


def media_folders(data: Path, outside: Path) -> None:
    for kind in ("video", "audio"):
        replaced(data / kind, outside / "media" / kind)


def forged_record(data: Path, outside: Path) -> None:
    for folder in (data, data / "video", data / "audio", data / ".prepare"):
        forge_records(folder, outside)


DATASET_TRICKS: dict[str, Callable[[Path, Path], None]] = {
    **{f"state file {name}": state_file(name) for name in STATE_FILES},
    **{name: file(name) for name in LINKED_FILES},
    "dangling": dangling,
    ".prepare": state_folder(".prepare"),
    ".avsa_fast": state_folder(".avsa_fast"),
    "video/.avsa_fast": state_folder("video/.avsa_fast"),
    ".prepare/.avsa_fast": state_folder(".prepare/.avsa_fast"),
    "pipes": pipes,
    "journal's media": journal_media,
    "journal's folders": journal_folders,
    "names": names,
    "media folders": media_folders,
    "forged record": forged_record,
}  # fmt: skip


@pytest.mark.parametrize("trick", DATASET_TRICKS)
def test_dataset(trick: str, tmp_path: Path, made: Path, outside: Path, command: Forked) -> None:
    """prepare from other media, in place, and before training, with tables to write; and a report."""
    source = tmp_path / "source"
    shutil.copytree(made / "media", source)
    before = {folder: surroundings(folder) for folder in (outside, source)}
    lines = {
        "into": ("prepare", source, tmp_path / "received", "--detector", "none", "--workers", 1),
        "transcoded": ("prepare", source, tmp_path / "received", "--detector", "none", "--workers", 1, "--transcode"),
        "in place": ("prepare", tmp_path / "received", tmp_path / "received", "--detector", "none", "--workers", 1),
        "train": ("train", *training(made / "config.yaml", tmp_path / "received", tmp_path / "run")),
        "report": ("report", "--dataset", tmp_path / "received", "--clips", 1),
    }
    for kind, line in lines.items():
        data = received(made, tmp_path)
        DATASET_TRICKS[trick](data, outside)
        if kind == "train" and trick not in ("names", *LINKED_FILES, "dangling"):
            (data / "index.parquet").unlink()
        output = ended(command.run(*line), 0, 2)
        for folder, content in before.items():
            assert surroundings(folder) == content, f"{kind}: {output}"


@pytest.mark.parametrize("trick", ["names", "media folders", "journal's media"])
def test_dataset_is_only_read(trick: str, tmp_path: Path, made: Path, outside: Path, command: Forked) -> None:
    data = received(made, tmp_path)
    DATASET_TRICKS[trick](data, outside)
    before = surroundings(outside)
    run = shutil.copytree(made / "run", tmp_path / "run")
    for line in (
        ("evaluate", run, "--data", data, "--task", "avc", "--moments", 1, "--classifiers", 1, "--workers", 0),
        ("embed", run, data, "--out", tmp_path / "out.parquet"),
    ):
        output = ended(command.run(*line), 0, 2)
        assert surroundings(outside) == before, output


def test_users_hidden_files_stay_in_a_dataset(tmp_path: Path, made: Path, command: Forked) -> None:
    data = received(made, tmp_path)
    for name in HIDDEN:
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text("mine")
    run = shutil.copytree(made / "run", tmp_path / "run")
    (data / "index.parquet").unlink()
    for line in (
        ("prepare", data, data, "--detector", "none", "--workers", 1),
        ("train", *training(made / "config.yaml", data, tmp_path / "new")),
        ("evaluate", run, "--data", data, "--task", "avc", "--moments", 1, "--classifiers", 1, "--workers", 0),
        ("embed", run, data, "--out", data / "out.parquet"),
        ("report", "--dataset", data, "--clips", 1),
        ("prepare", made / "media", data, "--detector", "none", "--workers", 1, "--transcode"),
    ):
        output = ended(command.run(*line), 0, 2)
        for name in HIDDEN:
            assert (data / name).read_text() == "mine", output


def test_labelled_dataset_is_only_read(tmp_path: Path, made: Path, outside: Path, command: Forked) -> None:
    """Its classes and files are links, and its lists lead out of it."""
    data = tmp_path / "labelled"
    for label in ("cat", "dog"):
        for number in range(3):
            write_sound(data / label / f"{number}.wav", 1.0, 1)
        (data / label / "link.wav").symlink_to(outside / "media" / "audio" / "a.wav")
        (data / label / ".video.12.part").write_text("mine")
    (data / "bird").symlink_to(outside / "media" / "audio")
    (data / "train.txt").write_text("../outside/precious.txt\n")
    before = {folder: surroundings(folder) for folder in (outside, data)}
    run = shutil.copytree(made / "run", tmp_path / "run")
    for task in ("linear", "finetune"):
        output = ended(command.run("evaluate", run, "--task", task, "--data", data, "--workers", 0), 0, 2)
        for folder, content in before.items():
            assert surroundings(folder) == content, output
