from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.prepare.find import Job, find_jobs


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_tree(tmp_path: Path) -> None:
    src, dst = tmp_path / "src", tmp_path / "src" / "dst"
    touch(src, "a.mp4", "a.FLAC", "b.MKV", "b.webm", "deep/er/a.mp4", "deep/er/a.wav", "deep/er/a.m4a", "alone.flac")
    touch(src, ".hidden.mp4", ".git/c.mp4", "dst/video/d.mp4", "notes.txt", "deep/e.mov")
    jobs = find_jobs(src, dst, transcode=False)
    assert jobs == [
        Job("a", src / "a.mp4", src / "a.FLAC"),
        Job("b", src / "b.webm", src / "b.webm"),
        Job("deep__er__a", src / "deep/er/a.mp4", src / "deep/er/a.wav"),
    ]


def test_pairs(tmp_path: Path) -> None:
    touch(tmp_path, "video/x-10.mp4", "audio/x-10.m4a", "video/y-20.mp4", "audio/z-30.flac", "else.mp4")
    video, audio = tmp_path / "video", tmp_path / "audio"
    assert find_jobs(tmp_path, tmp_path, transcode=False) == [
        Job("x-10", video / "x-10.mp4", audio / "x-10.m4a"),
        Job("y-20", video / "y-20.mp4", None),
        Job("z-30", None, audio / "z-30.flac"),
    ]


def test_segments(tmp_path: Path) -> None:
    touch(tmp_path, "yJtIK922yxg.mp4", "f-3.mp4", "cut-7.mp4")
    (tmp_path / "segments.txt").write_text("yJtIK922yxg 54,68\nf-3 0\ngone 3\ncut 7,9\n\n")
    with pytest.raises(UserError, match="requires --transcode"):
        find_jobs(tmp_path, tmp_path / "dst", transcode=False)
    jobs = find_jobs(tmp_path, tmp_path / "dst", transcode=True)
    assert [(job.name, job.begin, job.seconds) for job in jobs] == [
        ("cut-7", 0, None), ("f-3-0", 0, 10), ("yJtIK922yxg-54", 54, 10), ("yJtIK922yxg-68", 68, 10),
    ]  # fmt: skip
    assert jobs[2].video == tmp_path / "yJtIK922yxg.mp4"


@pytest.mark.parametrize("text", ["a", "a 1,b", "a 1 2", "\x00 \xff"])
def test_invalid_segments_are_refused(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "segments.txt").write_bytes(text.encode("latin1"))
    with pytest.raises(UserError, match=r"segments\.txt: not a list of segments"):
        find_jobs(tmp_path, tmp_path / "dst", transcode=True)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        find_jobs(tmp_path / "nowhere", tmp_path, transcode=False)
    with pytest.raises(UserError, match="no videos in it"):
        find_jobs(tmp_path, tmp_path, transcode=False)
