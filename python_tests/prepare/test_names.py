"""Folders with odd names, links and layouts, from their files to a dataset that opens."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from helpers.prepared import rows

from avsa_fast.command import run_command
from avsa_fast.data.clip_names import distinct_name, is_valid_name, valid_name
from avsa_fast.data.index import Index
from avsa_fast.data.tables import TRUTH, read_table
from avsa_fast.errors import UserError
from avsa_fast.evaluate.truth import read_truth
from avsa_fast.prepare import PrepareOptions, prepare, run
from avsa_fast.prepare.cli import main
from avsa_fast.prepare.clip import Result, prepare_clip
from avsa_fast.prepare.find import Job

OPTIONS = PrepareOptions(detector=None)
AddClip = Callable[..., None]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Prepares clips in this process, which is faster than to start others."""

    def results(jobs: Sequence[Job], *_: object) -> Iterator[Result]:
        for job in jobs:
            yield prepare_clip(job, OPTIONS, None, tmp_path)

    monkeypatch.setattr(run, "_results", results)


@pytest.fixture
def clip(tmp_path: Path, add_video: AddClip) -> Path:
    """A clip of half a second with four channels."""
    add_video(tmp_path / "tiny.mp4", "4.0", seconds=0.5)
    return tmp_path / "tiny.mp4"


def place(clip: Path, *paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_odd_names(tmp_path: Path, clip: Path, add_sound: AddClip, capsys: pytest.CaptureFixture[str]) -> None:
    src, dst = tmp_path / "src", tmp_path / "dst"
    nested = "/".join(f"a folder name of some fifty characters, number {number}" for number in range(1, 7))
    cjk, latin = "音" * 82, os.fsdecode(b"caf\xe9")
    names = ("ok", "L" * 245, f"{nested}/take 1", cjk, latin, "a/b/same", "a__b__same", "Clip", "clip")
    place(clip, *(src / f"{name}.mp4" for name in names), tmp_path / "elsewhere" / "in.mp4")
    (src / "day1").symlink_to(tmp_path / "elsewhere")
    add_sound(src / "Clip.flac", 4, seconds=0.5)
    add_sound(src / "clip.flac", 1, seconds=0.5)
    os.mkfifo(src / "pipe.mp4")
    (src / f"{latin}2.mp4").write_bytes(b"no video")
    prepare(src, dst, OPTIONS, progress=False)

    found = rows(dst)
    assert found.keys() == {
        "ok", valid_name("L" * 245, f"{'L' * 245}.mp4"),
        valid_name(nested.replace("/", "__") + "__take 1", f"{nested}/take 1.mp4"),
        valid_name(cjk, f"{cjk}.mp4"), valid_name(latin, f"{latin}.mp4"), valid_name(f"{latin}2", f"{latin}2.mp4"),
        "a__b__same", distinct_name("a__b__same", "a/b/same.mp4"), "Clip", "clip", "day1__in",
    }  # fmt: skip
    assert all(map(is_valid_name, found))
    broken = found.pop(valid_name(f"{latin}2", f"{latin}2.mp4"))
    assert broken["state"] == "unreadable"
    assert "caf\ufffd2.mp4: not a readable media file" in broken["reason"]
    assert {row["state"] for row in found.values()} == {"ok"}
    assert (found["Clip"]["channels"], found["clip"]["channels"]) == (4, 1)
    clips = {clip.name: clip for clip, _ in Index(dst)}
    assert clips.keys() == found.keys()
    for name, sound in (("Clip", "Clip.flac"), ("clip", "clip.flac"), ("day1__in", "day1/in.mp4")):
        assert clips[name].sound is not None
        assert clips[name].sound.readlink() == src / sound
    said = lines(capsys)
    assert [line for line in said if "pipe" in line] == [f"passed over {src}/pipe.mp4: not a regular file"]
    assert sum("clips have names of their own" in line for line in said) == 1
    assert len(said) == 4  # also the unreadable clip, and the count of those

    times = {path: path.stat().st_mtime_ns for path in dst.glob("*.parquet")}
    prepare(src, dst, OPTIONS, progress=False)
    assert {path: path.stat().st_mtime_ns for path in dst.glob("*.parquet")} == times
    assert lines(capsys) == said


def test_folders_whose_paths_are_not_utf8(tmp_path: Path, clip: Path) -> None:
    src, dst = tmp_path / os.fsdecode(b"s\xfcden"), tmp_path / "dst"
    place(clip, src / "a.mp4")
    for _ in range(2):
        prepare(src, dst, OPTIONS, progress=False)
    assert rows(dst)["a"]["state"] == "ok"


def test_odd_names_in_place(tmp_path: Path, clip: Path) -> None:
    latin = os.fsdecode(b"caf\xe9")
    for name in (latin, "音" * 82):
        place(clip, tmp_path / "data" / "video" / f"{name}.mp4", tmp_path / "data" / "audio" / f"{name}.mp4")
    prepare(tmp_path / "data", tmp_path / "data", OPTIONS, progress=False)
    assert {clip.name for clip, _ in Index(tmp_path / "data")} == {valid_name(latin), valid_name("音" * 82)}


def test_only_pairs_are_prepared_in_place(tmp_path: Path, clip: Path) -> None:
    place(clip, tmp_path / "src" / "a.mp4")
    with pytest.raises(UserError, match="src: only a folder with video/ and audio/ is prepared in place"):
        prepare(tmp_path / "src", tmp_path / "src", OPTIONS, progress=False)
    assert [path.name for path in (tmp_path / "src").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("suffix", ["w64", "caf", "ogg", "aiff", "wav"])
def test_ambisonic_file_beside_a_stereo_camera(
    tmp_path: Path, add_video: AddClip, add_sound: AddClip, suffix: str
) -> None:
    """Prepared clips link both files."""
    add_video(tmp_path / "src" / "take.mov", "stereo", seconds=1)
    add_sound(tmp_path / "src" / f"take.{suffix}", 4, seconds=1)
    prepare(tmp_path / "src", tmp_path / "dst", OPTIONS, progress=False)
    assert rows(tmp_path / "dst")["take"]["channel_map"] == [0, 1, 2, 3]
    ((clip, _),) = Index(tmp_path / "dst")
    assert clip.video is not None
    assert clip.sound is not None
    assert (clip.video.name, clip.sound.name) == ("take.mov", f"take.{suffix}")


def test_the_layout_is_an_option(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place(clip, tmp_path / "src" / "video" / "a.mp4", tmp_path / "src" / "audio" / "a.mp4")
    command = ["prepare", str(tmp_path / "src"), str(tmp_path / "dst"), "--detector", "none", "--layout"]
    monkeypatch.setattr("sys.argv", [*command, "starss"])
    with pytest.raises(SystemExit) as end:
        run_command(main, "prepare")
    assert end.value.code == 2
    assert lines(capsys)[-1].startswith(f"prepare: {tmp_path}/src: no foa_dev in it; STARSS has ")
    monkeypatch.setattr("sys.argv", [*command, "tree"])
    run_command(main, "prepare")
    assert rows(tmp_path / "dst").keys() == {"video__a", "audio__a"}


def test_a_list_that_changes_moves_clips(tmp_path: Path, clip: Path) -> None:
    src, dst = tmp_path / "src", tmp_path / "dst"
    place(clip, *(src / f"{name}.mp4" for name in "abc"))
    (src / "test.txt").write_text("a\n")
    (src / "validation.txt").write_text("b\n")
    prepare(src, dst, OPTIONS, progress=False)
    assert {name: row["split"] for name, row in rows(dst).items()} == {"a": "test", "b": "validation", "c": "train"}
    assert (dst / "validation.txt").read_text() == "b\n"
    (src / "test.txt").write_text("c\n")
    (src / "validation.txt").unlink()
    prepare(src, dst, OPTIONS, progress=False)
    assert {name: row["split"] for name, row in rows(dst).items()} == {"a": "train", "b": "train", "c": "test"}
    assert not (dst / "validation.txt").exists()


def test_starss(tmp_path: Path, clip: Path, add_sound: AddClip, capsys: pytest.CaptureFixture[str]) -> None:
    src, dst = tmp_path / "src", tmp_path / "dst"
    for name in ("dev-train-sony/one", "dev-train-tau/two", "dev-test-sony/three"):
        place(clip, src / "video_dev" / f"{name}.mp4")
        add_sound(src / "foa_dev" / f"{name}.wav", 4, seconds=0.5)
        (src / "metadata_dev" / name).parent.mkdir(parents=True, exist_ok=True)
        (src / "metadata_dev" / f"{name}.csv").write_text("0,0,0,60,30,173\n4,12,1,-90,0,90\n")
    (src / "metadata_dev" / "dev-train-tau" / "two.csv").write_text("0,0,0\n")
    add_sound(src / "mic_dev" / "dev-train-sony" / "one.wav", 4, seconds=0.5)
    prepare(src, dst, OPTIONS, progress=False)
    assert {name: (row["state"], row["split"]) for name, row in rows(dst).items()} == {
        "one": ("ok", "train"), "two": ("ok", "train"), "three": ("ok", "test"),
    }  # fmt: skip
    assert (dst / "test.txt").read_text() == "three\n"
    truth = read_table(dst / "truth.parquet", TRUTH)
    assert [(row["name"], row["class"], row["source"], row["gain"]) for row in truth] == [
        (name, kind, source, None) for name in ("one", "three") for kind, source in (("female speech", 0), ("knock", 1))
    ]
    assert read_truth(dst / "truth.parquet").at("one", 0.05)[0] == pytest.approx([1.0472, 0.5236], abs=1e-4)
    said = lines(capsys)
    assert said[0].startswith(f"passed over {src}/mic_dev: ")
    assert said[1].startswith(
        f"no directions for two: {src}/metadata_dev/dev-train-tau/two.csv: line 1 is '0,0,0', not "
    )
    (src / "metadata_dev" / "dev-train-tau" / "two.csv").write_text("1,8,0,10,20\n")
    prepare(src, dst, OPTIONS, progress=False)
    assert [row["class"] for row in read_table(dst / "truth.parquet", TRUTH) if row["name"] == "two"] == ["music"]
