from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.prepare.find import Source
from avsa_fast.prepare.layouts import find_source, recognise

ONE, TWO, THREE = "yJtIK922yxg", "-3Gum_myAIk", "kqAZkf5Odyw"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def segments(found: Source) -> dict[str, tuple[float, float | None]]:
    return {job.name: (job.begin, job.seconds) for job in found.jobs.values()}


def test_sphere360(tmp_path: Path) -> None:
    touch(tmp_path, *(f"video/{name}.mp4" for name in (ONE, TWO, THREE)), f"audio/{ONE}.webm", f"audio/{TWO}.m4a")
    (tmp_path / "train.txt").write_text(f"{ONE}_54\n{TWO}_172\ngone_video1_20\n{ONE}_54\n")
    (tmp_path / "test.txt").write_bytes(f"{ONE}_0\r\n".encode())
    assert recognise(tmp_path) == "sphere360"
    with pytest.raises(UserError, match=r"train\.txt: cuts yJtIK922yxg into segments, which requires --transcode"):
        find_source(tmp_path, tmp_path / "dst", transcode=False)
    found = find_source(tmp_path, tmp_path / "dst", transcode=True)
    assert segments(found) == {f"{TWO}_172": (172, 10), f"{ONE}_0": (0, 10), f"{ONE}_54": (54, 10)}
    assert found.splits == {f"{TWO}_172": "train", f"{ONE}_54": "train", f"{ONE}_0": "test"}
    assert found.jobs[f"{ONE}_54"].sound == tmp_path / "audio" / f"{ONE}.webm"
    assert found.passed.lines() == [f"passed over {tmp_path}/video/{THREE}.mp4: not in the lists of clips"]
    assert found.notes == ["1 of 4 listed clips are of videos that are not here"]


@pytest.mark.parametrize("joint", ["_", "-"])
def test_yt_ambigen_of_clips_that_are_cut(tmp_path: Path, joint: str) -> None:
    names = [f"{ONE}{joint}5", f"{ONE}{joint}20", f"{TWO}{joint}8"]
    touch(tmp_path, *(f"video/{name}.mp4" for name in names), *(f"audio/{name}.opus" for name in names))
    for split, text in (("train", f"{ONE}_5.npy"), ("valid", f"{ONE}_20.npy"), ("test", f"{TWO}_8.npy")):
        (tmp_path / f"{split}.csv").write_text(f"file_path\n{text}\n")
    assert recognise(tmp_path) == "yt-ambigen"
    found = find_source(tmp_path, tmp_path, transcode=False)
    assert found.splits == dict(zip(names, ("train", "validation", "test"), strict=True))
    assert segments(found) == dict.fromkeys(sorted(names), (0, None))
    assert found.notes == found.passed.lines() == []


def test_yt_ambigen_of_whole_videos(tmp_path: Path) -> None:
    touch(tmp_path, f"{ONE}.mp4", f"{TWO}_8.mp4")
    (tmp_path / "train.csv").write_text(f"file_path\n{ONE}_5.npy\n{TWO}_8.npy\n{THREE}_1.npy\n")
    found = find_source(tmp_path, tmp_path / "dst", transcode=True)
    assert segments(found) == {f"{TWO}_8": (0, None), f"{ONE}_5": (5, 5)}
    assert found.notes == ["1 of 3 listed clips are of videos that are not here"]


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\t54\n{ONE}\t9",
        f"id,start,label\n{ONE},54,a\n{ONE},9.0,b",
        f'"{ONE}",54\n{ONE}_9.mp4',
        f"{ONE};54\n{ONE};9;x",
    ],
)
def test_lists_with_columns(tmp_path: Path, text: str) -> None:
    touch(tmp_path, f"{ONE}.mp4")
    (tmp_path / "train.txt").write_text(text)
    assert recognise(tmp_path) == "tree"
    found = find_source(tmp_path, tmp_path / "dst", transcode=True, layout="sphere360")
    assert segments(found) == {f"{ONE}_54": (54, 10), f"{ONE}_9": (9, 10)}


def test_ids_that_end_like_the_name_of_a_clip(tmp_path: Path) -> None:
    touch(tmp_path, "abcdefgh_12.mp4", f"{ONE}_3.mp4")
    (tmp_path / "train.txt").write_text(f"abcdefgh_12,54\n{ONE}_3,1\n")
    found = find_source(tmp_path, tmp_path / "dst", transcode=True, layout="sphere360")
    assert segments(found) == {"abcdefgh_12_54": (54, 10), f"{ONE}_3": (0, None)}


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (f"{ONE}_1", f"{ONE}_1", rf"test\.txt: {ONE}_1 is also in the list of split 'train'"),
        (f"{ONE}_1\nnot a clip", f"{ONE}_2", r"train\.txt: line 2 is 'not a clip', not ID_SECOND or ID,SECOND"),
        (f"{TWO}_1", f"{TWO}_2", r"none of the clips in train\.txt and test\.txt is here; expected ID\.mp4 or"),
    ],
)
def test_invalid_lists(tmp_path: Path, train: str, test: str, message: str) -> None:
    touch(tmp_path, f"{ONE}.mp4")
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    with pytest.raises(UserError, match=message):
        find_source(tmp_path, tmp_path / "dst", transcode=True)


def test_other_lists_are_not_taken_for_these(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "train.csv").write_bytes(b"name,caf\xe9\na,1\n")
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "test.txt").write_text("b\n")
    assert recognise(tmp_path) == "tree"
    assert find_source(tmp_path, tmp_path / "dst", transcode=False).splits is None
    with pytest.raises(UserError, match=r"no train\.csv or valid\.csv or test\.csv in it, with lines such as"):
        (tmp_path / "train.csv").unlink()
        find_source(tmp_path, tmp_path / "dst", transcode=False, layout="yt-ambigen")
