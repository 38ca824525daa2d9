from math import radians
from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.prepare.layouts import find_source, recognise
from avsa_fast.prepare.layouts.starss import CLASSES, read_annotations


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folders of STARSS23 with empty files."""
    for path in ("dev-train-sony/fold3_room21_mix013", "dev-test-tau/fold4_room2_mix001", "dev-val/fold5_room1_mix001"):
        touch(
            tmp_path, f"foa_dev/{path}.wav", f"video_dev/{path}.mp4", f"metadata_dev/{path}.csv", f"mic_dev/{path}.wav"
        )
    touch(tmp_path, "foa_dev/dev-train-sony/fold3_room21_mix001.wav", "video_eval/mix001.mp4", "README.md")
    return tmp_path


def test_parallel_trees(source: Path) -> None:
    assert recognise(source) == "starss"
    found = find_source(source, source / "dst", transcode=False)
    assert list(found.jobs) == [
        "fold3_room21_mix001", "fold3_room21_mix013", "fold4_room2_mix001", "fold5_room1_mix001",
    ]  # fmt: skip
    job = found.jobs["fold4_room2_mix001"]
    assert job.video == source / "video_dev/dev-test-tau/fold4_room2_mix001.mp4"
    assert job.sound == source / "foa_dev/dev-test-tau/fold4_room2_mix001.wav"
    assert (found.jobs["fold3_room21_mix001"].video, found.jobs["fold3_room21_mix001"].seconds) == (None, None)
    assert found.splits == dict(zip(found.jobs, ("train", "train", "test", "validation"), strict=True))
    assert found.annotations == {
        name: source / "metadata_dev" / folder / f"{name}.csv"
        for name, folder in (
            ("fold3_room21_mix013", "dev-train-sony"),
            ("fold4_room2_mix001", "dev-test-tau"),
            ("fold5_room1_mix001", "dev-val"),
        )
    }
    assert found.passed.lines() == [
        f"passed over {source}/{name}: of STARSS, foa_dev, video_dev and metadata_dev are used"
        for name in ("mic_dev", "video_eval")
    ]


def test_without_test_folders_the_default_split_applies(tmp_path: Path) -> None:
    touch(tmp_path, "foa_dev/a.wav", "foa_dev/b.wav", "video_dev/a.mp4", "video_dev/b.mp4")
    found = find_source(tmp_path, tmp_path / "dst", transcode=False)
    assert (list(found.jobs), found.splits, found.annotations) == (["a", "b"], None, {})


def test_equal_names_in_two_folders(tmp_path: Path) -> None:
    touch(tmp_path, "foa_dev/dev-train/a.wav", "foa_dev/dev-test/a.wav", "foa_dev/dev-test/b.wav")
    assert list(find_source(tmp_path, tmp_path / "dst", transcode=False).jobs) == ["b", "dev-test__a", "dev-train__a"]


def test_the_layout_can_be_required(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    with pytest.raises(UserError, match=r"no foa_dev in it; STARSS has foa_dev/, video_dev/ and metadata_dev/"):
        find_source(tmp_path, tmp_path / "dst", transcode=False, layout="starss")


def test_annotations(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf0,0,0,60,30\r\n0,12,1,-180,-90,173\r\n25,13,2,180,5.5,90\r\n")
    assert list(read_annotations("a", path)) == [
        {"name": "a", "gain": None} | dict(zip(("time", "source", "class", "azimuth", "elevation"), row, strict=True))
        for row in (
            (0.05, 0, "female speech", radians(60), radians(30)),
            (0.05, 1, "knock", -radians(180), -radians(90)),
            (25.5 * 0.1, 2, "13", radians(180), radians(5.5)),
        )
    ]
    assert len(CLASSES) == 13
    path.write_text("frame,class,source,azimuth,elevation\n3,1,0,10,20\n")
    assert [row["class"] for row in read_annotations("a", path)] == ["male speech"]
    path.write_text("")
    assert list(read_annotations("a", path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "1,2,3",
        "1,2,3,4,5,6,7",
        "-1,0,0,0,0",
        "0,0,0,361,0",
        "0,0,0,0,91",
        "0,0,0,nan,0",
        "0,0,-1,0,0",
        "0,x,0,0,0",
        "9" * 5000,
    ],
)
def test_invalid_annotations(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"0,0,0,0,0\n{line}\n")
    with pytest.raises(
        UserError, match=r"a\.csv: line 2 is .*, not frame, class, source, azimuth, elevation in degrees"
    ):
        list(read_annotations("a", tmp_path / "a.csv"))
