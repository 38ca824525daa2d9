from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.prepare.layouts import find_source


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_segments(tmp_path: Path, start: bytes, end: bytes) -> None:
    touch(tmp_path, "yJtIK922yxg.mp4", "f-3.mp4", "cut-7.mp4", "cut.mp4", "whole.mp4")
    lines = [b"yJtIK922yxg 54,68", b"f-3 0", b"gone 3", b"cut 7,9", b"", b"yJtIK922yxg 9"]
    (tmp_path / "segments.txt").write_bytes(start + end.join(lines))
    with pytest.raises(UserError, match="requires --transcode"):
        find_source(tmp_path, tmp_path / "dst", transcode=False)
    jobs = list(find_source(tmp_path, tmp_path / "dst", transcode=True).jobs.values())
    assert [(job.name, job.begin, job.seconds) for job in jobs] == [
        ("cut-7", 0, None), ("cut-9", 9, 10), ("f-3-0", 0, 10), ("whole", 0, None), ("yJtIK922yxg-54", 54, 10),
        ("yJtIK922yxg-68", 68, 10), ("yJtIK922yxg-9", 9, 10),
    ]  # fmt: skip
    assert jobs[4].video == tmp_path / "yJtIK922yxg.mp4"


@pytest.mark.parametrize("text", ["a", "a 1,b", "a 1 2", "a -1", "a 1,,2", "a 12345678", "\x00 \xff", "音 \xff"])
def test_invalid_segments_are_refused(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "segments.txt").write_bytes(text.encode("latin1", errors="replace"))
    with pytest.raises(UserError, match=r"segments\.txt: not a list of segments"):
        find_source(tmp_path, tmp_path / "dst", transcode=True)
