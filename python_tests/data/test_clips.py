import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avsa_fast.data.clip_names import valid_name
from avsa_fast.data.clips import find_clips, media_names, split_names
from avsa_fast.data.index import Index
from avsa_fast.data.tables import INDEX, write_table
from avsa_fast.errors import UserError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of ten complete clips, consisting of empty files."""
    for folder, suffix in (("video", "mp4"), ("audio", "flac")):
        (tmp_path / folder).mkdir()
        for i in range(10):
            (tmp_path / folder / f"id{i}-30.{suffix}").touch()
    return tmp_path


def split(data: Path) -> dict[str, str]:
    return {clip.name: clip.split for clip in find_clips(data)}


def test_files_are_paired_by_name(data: Path) -> None:
    for name in ("video/id3-30.webm", "audio/id3-30.m4a", "video/.id3-31.mp4", "audio/notes.txt"):
        (data / name).touch()
    (data / "video" / "odd one.MKV").touch()
    (data / "audio" / "alone.opus").touch()
    clips = {clip.name: clip for clip in find_clips(data)}
    assert len(clips) == 12
    assert clips["id3-30"].video == data / "video" / "id3-30.mp4"
    assert clips["id3-30"].sound == data / "audio" / "id3-30.flac"
    assert clips["odd one"].video == data / "video" / "odd one.MKV"
    assert clips["odd one"].sound is None
    assert clips["alone"].video is None


def test_default_split_holds_out_a_fixed_fifth(data: Path) -> None:
    first = split(data)
    assert list(first.values()).count("test") == 2
    assert split(data) == first
    (data / "video" / "alone.mp4").touch()  # not a complete clip, so never held out
    assert split(data) == first | {"alone": "train"}


def test_held_out_clips_are_the_same_on_every_machine(tmp_path: Path) -> None:
    """By recording if names have the form {id}-{start second}, else by the whole name, not in the alphabet's order."""
    recordings = (
        "kqAZkf5Odyw",
        "yJtIK922yxg",
        "-3GumCmyAIk",
        "V5IVN81wYrI",
        "u-Hpf2_wzB8",
        "_74aGilhTGU",
        "xMVdww-5394",
    )
    for names, held_out in (
        (
            [f"{recording}-{second}" for recording in recordings for second in (0, 10, 30)],
            {"-3GumCmyAIk-0", "-3GumCmyAIk-10", "-3GumCmyAIk-30"},
        ),
        ([f"a{number:03d}" for number in range(20)], {"a001", "a004", "a011", "a013"}),
        (["ride-home", "ride-out", "beach", "Ünal", "take-12"], {"ride-out"}),
    ):
        assert {name for name, part in split_names(tmp_path, names, names).items() if part == "test"} == held_out
        backwards = names[::-1]
        assert split_names(tmp_path, backwards, backwards) == split_names(tmp_path, names, names)


def test_clips_of_one_recording_stay_together(tmp_path: Path) -> None:
    for folder, suffix in (("video", "mp4"), ("audio", "flac")):
        (tmp_path / folder).mkdir()
        for i in range(50):
            (tmp_path / folder / f"a-b{i // 5}-{10 * i}.{suffix}").touch()
    test = {name for name, part in split(tmp_path).items() if part == "test"}
    assert len(test) == 10
    assert len({name.rpartition("-")[0] for name in test}) == 2


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (3, 1), (8, 2)])
def test_small_folders(tmp_path: Path, count: int, held_out: int) -> None:
    for folder, suffix in (("video", "mp4"), ("audio", "flac")):
        (tmp_path / folder).mkdir()
        for i in range(count):
            (tmp_path / folder / f"{i}.{suffix}").touch()
    assert list(split(tmp_path).values()).count("test") == held_out


def test_lists_determine_the_split(data: Path) -> None:
    (data / "test.txt").write_text("id1-30\nid2-30\n\n")
    assert {name for name, part in split(data).items() if part == "test"} == {"id1-30", "id2-30"}
    (data / "train.txt").write_text("id3-30\r\nid4-30")
    assert split(data) == {"id1-30": "test", "id2-30": "test", "id3-30": "train", "id4-30": "train"}
    (data / "train.txt").write_text("id3\nid4\nno video any more\n")  # recordings, as in YT-360's lists
    assert split(data) == {"id1-30": "test", "id2-30": "test", "id3-30": "train", "id4-30": "train"}
    (data / "test.txt").unlink()
    assert {name for name, part in split(data).items() if part == "train"} == {"id3-30", "id4-30"}
    assert len(split(data)) == 10


def test_clips_for_validation_are_neither_trained_nor_tested(data: Path) -> None:
    (data / "validation.txt").write_bytes(b"\xef\xbb\xbfid0\r\nid1-30\r\n")
    validation = {"id0-30": "validation", "id1-30": "validation"}
    assert {name: part for name, part in split(data).items() if part == "validation"} == validation
    assert list(split(data).values()).count("test") == 2
    (data / "test.txt").write_text("id2\n")
    assert split(data) == validation | {"id2-30": "test"} | {f"id{number}-30": "train" for number in range(3, 10)}
    (data / "test.txt").write_text("id1\n")
    with pytest.raises(UserError, match=r"id1-30 is in both test\.txt and validation\.txt"):
        find_clips(data)


def test_names_that_tables_cannot_hold(tmp_path: Path) -> None:
    """A clip whose file has a name that is too long or not UTF-8 keeps its files under another name."""
    long, latin = "音" * 82, os.fsdecode(b"caf\xe9")
    for stem in (long, latin, "plain"):
        for folder, suffix in (("video", "mov"), ("audio", "caf")):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{stem}.{suffix}").touch()
    videos, sounds = media_names(tmp_path)
    assert videos == {valid_name(long): f"{long}.mov", valid_name(latin): f"{latin}.mov", "plain": "plain.mov"}
    assert sounds.keys() == videos.keys()
    assert all(
        name.encode() and clip.name == name for name, clip in zip(sorted(videos), find_clips(tmp_path), strict=True)
    )


def test_all_suffixes_by_preference(tmp_path: Path) -> None:
    for folder in ("video", "audio"):
        (tmp_path / folder).mkdir()
    for name in ("a.AVI", "a.mov", "a.MOV", "b.360", "c.insv", "d.ts"):
        (tmp_path / "video" / name).touch()
    for name in ("a.mp4", "a.mka", "a.aif", "a.caf", "b.webm", "c.W64"):
        (tmp_path / "audio" / name).touch()
    for name in ("e.avi", "f.mka"):
        (tmp_path / "video" / name).touch()  # AVI does not state when each frame is shown
    assert media_names(tmp_path) == (
        {"a": "a.MOV", "b": "b.360", "c": "c.insv"}, {"a": "a.caf", "b": "b.webm", "c": "c.W64"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (None, b"no-1\nno-2\n", r"test\.txt: no video or sound in this folder is named 'no-1'"),
        (b"id1-30", b"id1-30\nid2-30", "id1-30 is in both train.txt and test.txt"),
        (b"\xff\xfe\x00", None, r"train\.txt: not a list of names: line 1 is not UTF-8"),
    ],
)
def test_invalid_lists_are_refused(data: Path, train: bytes | None, test: bytes | None, message: str) -> None:
    for name, content in (("train.txt", train), ("test.txt", test)):
        if content is not None:
            (data / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        find_clips(data)


def test_invalid_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        find_clips(tmp_path / "nowhere")
    with pytest.raises(UserError, match="video: no such folder; a dataset has"):
        find_clips(tmp_path)
    (tmp_path / "video").mkdir()
    with pytest.raises(UserError, match="audio: no such folder; a dataset has"):
        find_clips(tmp_path)
    (tmp_path / "audio").mkdir()
    with pytest.raises(UserError, match=r"no clips; expected video/NAME\.mp4"):
        find_clips(tmp_path)


def test_index_contains_only_clips_with_media(data: Path) -> None:
    def row(name: str, **values: Any) -> dict[str, Any]:
        return dict.fromkeys(INDEX.names) | {"name": name, "seconds": 9.0, "split": "test", "state": "ok"} | values

    rows = [row("id1-30"), row("id2-30", state="unreadable"), row("../../etc/id3-30"), row("gone-1")]
    write_table(data / "index.parquet", rows, INDEX)
    ((clip, found),) = Index(data)
    assert (clip.name, clip.video, found["split"]) == ("id1-30", data / "video" / "id1-30.mp4", "test")
    write_table(data / "index.parquet", [*rows, row("id3-30", split="train", channel_map=[0, 1, 2, 3])], INDEX)
    index = Index(data)
    assert len(index) == 2
    assert index[-1] == index[0:2][1] == list(index)[1]
    assert index[1][1]["channel_map"] == [0, 1, 2, 3]
    assert (index.directional().tolist(), index.in_split("train").tolist()) == ([False, True], [False, True])
    assert index.names(np.array([1, 0])) == ["id3-30", "id1-30"]
    with pytest.raises(IndexError):
        index[2]
    write_table(data / "index.parquet", rows[1:], INDEX)
    with pytest.raises(UserError, match="lists no usable clip"):
        Index(data)
