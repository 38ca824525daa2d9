"""A folder from elsewhere, with links and records that lead out of it, or with a user's own hidden files."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from helpers.disks import remount, small_disk

from avsa_fast import isolation
from avsa_fast.errors import UserError
from avsa_fast.prepare import prepare_folder
from avsa_fast.prepare.clip import Result
from avsa_fast.prepare.find import Job
from avsa_fast.prepare.journal import Journal
from avsa_fast.prepare.options import PrepareOptions
from avsa_fast.prepare.outputs import remove_media
from avsa_fast.prepare.run import prepare
from avsa_fast.prepare.task import PrepareTask

__all__ = ["small_disk"]

WITHOUT_DETECTION = PrepareOptions(detector=None)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepares clips as a worker process does, but without the time that its start takes."""

    def run(jobs: Sequence[Job], task: PrepareTask, workers: int) -> Iterator[Result]:
        do = task.start()
        for job in jobs:
            done = isolation._do(job, task, do, lambda: None)
            if isinstance(done, isolation.Fatal):
                raise UserError(done.message)
            yield done.result

    monkeypatch.setattr("avsa_fast.prepare.run.run_isolated", run)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A dataset folder with a clip that cannot be read, so that no worker process needs much time."""
    for name in ("video/a.mp4", "audio/a.flac"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"none")
    (tmp_path / "data" / ".prepare").mkdir()
    (tmp_path / "precious.txt").write_text("mine")
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["lock", "journal.jsonl", "source", "done"])
def test_links_in_its_state_are_not_followed(data: Path, name: str) -> None:
    (data / ".prepare" / name).symlink_to("../../precious.txt")
    with pytest.raises(UserError):
        prepare_folder(data, WITHOUT_DETECTION, progress=False)
    assert (data.parent / "precious.txt").read_text() == "mine"


def test_a_linked_state_folder_is_refused(data: Path) -> None:
    (data / ".prepare").rmdir()
    (data / ".prepare").symlink_to("..")
    with pytest.raises(UserError, match=r"\.prepare: is a link"):
        prepare_folder(data, WITHOUT_DETECTION, progress=False)
    assert {path.name for path in data.parent.iterdir()} == {"data", "precious.txt"}


def test_pipes_in_its_state_do_not_block(data: Path) -> None:
    os.mkfifo(data / ".prepare" / "journal.jsonl")
    with pytest.raises(UserError, match=r"journal\.jsonl: is not a regular file"):
        prepare_folder(data, WITHOUT_DETECTION, progress=False)


def test_its_journal_removes_nothing_outside(data: Path) -> None:
    journal = data / ".prepare" / "journal.jsonl"
    media = ["../precious.txt", str(data.parent / "precious.txt"), "video/../../precious.txt", "video/a.mp4", "audio"]
    row = {"name": "a", "state": "ok"}
    journal.write_text(json.dumps({"key": "k", "row": row, "media": media}) + "\t{}\n")
    opened = Journal(journal)
    remove_media(data, opened.entries["a"], keep=())
    opened.close()
    assert (data.parent / "precious.txt").read_text() == "mine"
    assert not (data / "video" / "a.mp4").exists()
    assert (data / "audio" / "a.flac").exists()


def test_media_are_not_written_through_a_linked_folder(data: Path) -> None:
    target = data.parent / "dst"
    (data.parent / "elsewhere").mkdir()
    target.mkdir()
    (target / "video").symlink_to("../elsewhere")
    with pytest.raises(UserError, match="dst/video: is a link"):
        prepare(data, target, WITHOUT_DETECTION, progress=False)
    assert list((data.parent / "elsewhere").iterdir()) == []


def test_hidden_files_of_the_user_are_kept(data: Path) -> None:
    names = ("notes/.my.party-plan.txt", "video/.download.part1.rar", ".a.1.part", "video/.folder.2.part/file")
    for name in names:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("mine")
    with pytest.raises(UserError, match="none of its 1 clips is usable"):
        prepare_folder(data, WITHOUT_DETECTION, progress=False)
    assert all((data / name).read_text() == "mine" for name in names)


def test_a_full_disk_is_no_fault_of_a_clip(
    tmp_path: Path, add_video: Callable[..., None], small_disk: Callable[[int], Path]
) -> None:
    """The sound, which soundfile writes, is what does not fit."""
    add_video(tmp_path / "src" / "a.mp4", "4.0")
    disk = small_disk(200 << 10)
    options = PrepareOptions(detector=None, transcode=True, height=64)
    with pytest.raises(UserError, match=r"a\.flac: cannot be written: No space left on device; .*free some space"):
        prepare(tmp_path / "src", disk / "dst", options, workers=1, progress=False)
    assert (disk / "dst" / ".prepare" / "journal.jsonl").read_bytes() == b""
    remount(disk, "size=4M")
    prepare(tmp_path / "src", disk / "dst", options, workers=1, progress=False)
    assert (disk / "dst" / "audio" / "a.flac").stat().st_size > 100_000
