from pathlib import Path
from typing import Any

import pytest

from avsa_fast.data.clips import find_clips
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


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (None, b"no-1\nno-2\n", r"test\.txt: no video or sound in this folder is named 'no-1'"),
        (b"id1-30", b"id1-30\nid2-30", "id1-30 is in both train.txt and test.txt"),
        (b"\xff\xfe\x00", None, r"train\.txt: not a readable list"),
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
        return dict.fromkeys(INDEX.names) | {"name": name, "split": "test", "state": "ok"} | values

    rows = [row("id1-30"), row("id2-30", state="broken"), row("../../etc/id3-30"), row("gone-1")]
    write_table(data / "index.parquet", rows, INDEX)
    ((clip, found),) = Index(data)
    assert (clip.name, clip.video, found["split"]) == ("id1-30", data / "video" / "id1-30.mp4", "test")
    write_table(data / "index.parquet", [*rows, row("id3-30", split="train", channel_map=[0, 1, 2, 3])], INDEX)
    index = Index(data)
    assert len(index) == 2
    assert index[-1] == index[0:2][1] == list(index)[1]
    assert index[1][1]["channel_map"] == [0, 1, 2, 3]
    assert (index.directional().tolist(), index.in_training().tolist()) == ([False, True], [False, True])
    with pytest.raises(IndexError):
        index[2]
    write_table(data / "index.parquet", rows[1:], INDEX)
    with pytest.raises(UserError, match="lists no usable clip"):
        Index(data)
