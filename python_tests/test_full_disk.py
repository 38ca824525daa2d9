"""A disk that is full at any write of a command, or read-only: one line, nothing lost, and it finishes later."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.disks import leave, remount, small_disk
from helpers.media import write_sound
from helpers.runs import lines
from helpers.runs import run as train
from helpers.untrained import config, run, scenes

from avsa_fast.config import Config
from avsa_fast.embed.cli import main as embed
from avsa_fast.errors import UserError
from avsa_fast.evaluate.cli import main as evaluate
from avsa_fast.export.cli import main as export
from avsa_fast.report.cli import main as report
from avsa_fast.run import Run
from avsa_fast.scenes.build import build_scenes
from avsa_fast.writing import WriteError

__all__ = ["config", "run", "scenes", "small_disk"]

Disk = Callable[[int], Path]
SIZE = 16 << 20


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those of unfinished writes."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def exhaust(disk: Path, command: Callable[[], object], before: dict[str, bytes]) -> int:
    """Runs a command with more and more room, from none, until it succeeds; returns how often it failed."""
    failures, room = 0, 0
    while True:
        leave(disk, room)
        try:
            command()
        except WriteError as error:
            failures += 1
            message = str(error)
            print(f"{room >> 10} kB: {message}")
            assert message.startswith(str(disk)), message
            assert "cannot be written: No space left on device; what was complete is kept: free some space" in message
            assert "\n" not in message
            assert before.items() <= contents(disk).items()
        else:
            leave(disk, None)
            return failures
        room = max(4096, round(room * 1.5) // 4096 * 4096 + 4096)
        assert room < SIZE


def read_only(disk: Path, command: Callable[[], object], path: Path) -> None:
    remount(disk, "ro")
    try:
        with pytest.raises(UserError, match=rf"^{path}.*: cannot be written: Read-only file system$"):
            command()
    finally:
        remount(disk, "rw")


def test_scenes(small_disk: Disk) -> None:
    disk = small_disk(SIZE)

    def command() -> None:
        build_scenes(disk / "out", count=2, seconds=1.0, seed=0)

    read_only(disk, command, disk / "out")
    assert exhaust(disk, command, {}) >= 3
    names = {path.name for path in disk.rglob("*") if path.is_file()}
    assert names >= {"scene0000-0.mp4", "scene0001-0.flac", "index.parquet", "train.txt"}
    assert [path.name for path in disk.iterdir()] == ["out"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
def test_embed(run: Run, tmp_path: Path, small_disk: Disk, suffix: str) -> None:
    disk = small_disk(SIZE)
    sounds = tuple(str(write_sound(tmp_path / f"{i}.wav", 3, 4)) for i in range(3))
    embed(run.folder, sounds, out=str(tmp_path / f"x{suffix}"))

    def command() -> None:
        embed(run.folder, sounds, out=str(disk / f"x{suffix}"))

    read_only(disk, command, disk / "x")
    assert exhaust(disk, command, {}) >= 3
    expected = {name: data for name, data in contents(tmp_path).items() if name.startswith("x.")}
    assert contents(disk) == expected
    assert {path.name for path in disk.iterdir()} == set(expected)


@pytest.mark.slow
def test_train(config: Config, tmp_path: Path, small_disk: Disk) -> None:
    disk, small = small_disk(SIZE), replace(config, checkpoint_every=1)
    train(small, tmp_path / "whole")

    def command() -> None:
        train(small, disk / "run", resume=(disk / "run" / "config.yaml").exists())

    assert exhaust(disk, command, {}) >= 5
    done = [(line["step"], line["loss"]) for line in lines(disk / "run")]
    assert done == [(line["step"], line["loss"]) for line in lines(tmp_path / "whole")]
    for name in ("weights.safetensors", "metrics.json"):
        assert (disk / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(list((disk / "run" / "checkpoints").iterdir())) <= 3


@pytest.mark.slow
def test_evaluate(run: Run, small_disk: Disk) -> None:
    disk = small_disk(SIZE)
    shutil.copytree(run.folder, disk / "run")
    before = contents(disk)

    def command() -> None:
        evaluate(disk / "run", ("retrieval",), moments=1, workers=0)

    read_only(disk, command, disk / "run")
    assert exhaust(disk, command, before) >= 2
    assert set(contents(disk)) == {*before, "run/eval/retrieval.json", "run/eval/cases/retrieval.json"}
    old = (disk / "run" / "eval" / "retrieval.json").read_bytes()
    leave(disk, 0)
    with pytest.raises(WriteError):
        command()
    assert (disk / "run" / "eval" / "retrieval.json").read_bytes() == old


@pytest.mark.slow
def test_report(run: Run, small_disk: Disk) -> None:
    disk = small_disk(SIZE)
    (run.folder / "log.jsonl").touch()
    (disk / "page.html").write_text("old")

    def command() -> None:
        report(run.folder, out=disk / "page.html", clips=1)

    read_only(disk, command, disk / "page.html")
    leave(disk, 64 << 10)
    with pytest.raises(WriteError, match=rf"^{disk / 'page.html'}: cannot be written: No space"):
        command()
    assert (disk / "page.html").read_text() == "old"
    leave(disk, None)
    command()
    assert len((disk / "page.html").read_bytes()) > 1_000_000


@pytest.mark.slow
def test_export(run: Run, tmp_path: Path, small_disk: Disk) -> None:
    pytest.importorskip("onnxscript")
    disk = small_disk(SIZE)
    export(run.folder, tmp_path / "out")
    whole = sum(len(data) for data in contents(tmp_path / "out").values())

    def command() -> None:
        export(run.folder, disk / "out")

    read_only(disk, command, disk / "out")
    for share in (0, 0.05, 0.3, 0.6, 0.9):
        leave(disk, round(share * whole))
        with pytest.raises(WriteError, match=rf"^{disk / 'out'}.*: cannot be written: No space"):
            command()
        assert not (disk / "out").exists()
    leave(disk, None)
    command()
    assert {path.name for path in (disk / "out").iterdir()} >= {"video_encoder.pt2", "audio_encoder.onnx", "README.md"}


def test_a_report_does_not_replace_a_folder(run: Run, tmp_path: Path) -> None:
    """Which is told before the drawing."""
    with pytest.raises(UserError, match=rf"^{tmp_path}: cannot be written: it is a folder; name a file"):
        report(run.folder, out=tmp_path)
