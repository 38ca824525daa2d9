import errno
import os
from pathlib import Path

import pytest

from avsa_fast.prepare.clip import Result
from avsa_fast.prepare.journal import Journal
from avsa_fast.writing import WriteError


def result(name: str, count: int) -> Result:
    return Result(
        {"name": name, "state": "ok", "seconds": 1 / 3},
        {"time": [0.1 * i for i in range(count)], "class": ["tab\t"] * count},
    )


def read(path: Path) -> Journal:
    journal = Journal(path)
    journal.close()
    return journal


def test_entries_are_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for name, count in (("b", 3), ("a", 0), ("b", 2), ("c\n\t", 1)):
        journal.append(f"key {count}", result(name, count), ["video/x"])
    journal.close()
    journal = Journal(tmp_path / "j")
    assert {name: (entry.key, entry.media) for name, entry in journal.entries.items()} == {
        "b": ("key 2", ["video/x"]), "a": ("key 0", ["video/x"]), "c\n\t": ("key 1", ["video/x"]),
    }  # fmt: skip
    assert journal.entries["b"].row == result("b", 2).row
    assert journal.detections("b") == result("b", 2).detections
    assert [row["time"] for row in journal.rows(["b", "a", "c\n\t"])] == [0.0, 0.1, 0.0]


def test_incomplete_last_line_is_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for name in "ab":
        journal.append("key", result(name, 2), [])
    journal.close()
    whole = (tmp_path / "j").read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        (tmp_path / "j").write_bytes(whole[:end])
        again = Journal(tmp_path / "j")
        assert set(again.entries) == {"a"}
        again.append("key", result("b", 2), [])
        again.close()
        assert (tmp_path / "j").read_bytes() == whole


def test_damaged_line_is_ignored(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for name in "ab":
        journal.append("key", result(name, 2), [])
    journal.close()
    data = (tmp_path / "j").read_bytes()
    for damaged in (b"\x00" + data[1:], b"[]" + data[data.index(b"\t") :], b"\n" + data):
        (tmp_path / "j").write_bytes(damaged)
        assert "b" in read(tmp_path / "j").entries


def test_full_disk_does_not_change_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j")
    journal.append("key", result("a", 2), [])
    before = (tmp_path / "j").read_bytes()
    write, room = os.write, 10

    def write_some(file: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(file, data[:room])
        room -= count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_some)
        with pytest.raises(WriteError, match=r"/j: cannot be written: No space left on device; .*free some space"):
            journal.append("key", result("b", 2), [])
    assert set(journal.entries) == {"a"}
    assert (tmp_path / "j").read_bytes() == before
    journal.append("key", result("b", 3), [])
    journal.close()
    assert set(read(tmp_path / "j").entries) == {"a", "b"}


@pytest.mark.parametrize(
    "path",
    [
        "../precious",
        "/abs/path",
        "video/../../x",
        "video/..",
        "video/",
        "video",
        "audio/.hidden",
        "audio/a/b",
        "x/a",
        "video/a\0",
        7,
        None,
    ],
)
def test_media_outside_its_folders_are_ignored(tmp_path: Path, path: object) -> None:
    journal = Journal(tmp_path / "j")
    journal.append("key", result("a", 0), ["video/a.mp4", "audio/a.flac", path])  # type: ignore[list-item]
    journal.close()
    entry = read(tmp_path / "j").entries.get("a")
    assert entry is None or entry.media == ["video/a.mp4", "audio/a.flac"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "j").symlink_to(tmp_path / "precious")
    with pytest.raises(WriteError, match="is a link"):
        Journal(tmp_path / "j")
    assert (tmp_path / "precious").read_text() == "mine"
