"""The search of folders finds all media once, follows links, and says what it passes over."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from avsa_fast.data import media_folders
from avsa_fast.data.media_folders import MAX_LINES, PassedOver, find_media, walk_media
from avsa_fast.errors import UserError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def walked(root: Path, *skip: Path) -> tuple[list[str], list[str]]:
    """Paths of the files that a search finds, relative to the folder, and what it passes over."""
    passed = PassedOver()
    found = [
        str((folder / name).relative_to(root)) for folder, names in walk_media(root, passed, skip) for name in names
    ]
    return found, [line.replace(f"passed over {root}/", "") for line in passed.lines()]


def test_media_in_a_tree(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b.MP4",
        "a.w64",
        "x/c.insv",
        "x/y/d.caf",
        "w/e.360",
        "notes.txt",
        ".hidden.mp4",
        ".git/f.mp4",
        "z/g.mp4",
    )
    (tmp_path / "folder.mp4").mkdir()
    assert walked(tmp_path, tmp_path / "z") == (["a.w64", "b.MP4", "w/e.360", "x/c.insv", "x/y/d.caf"], [])
    assert walked(tmp_path, tmp_path / "none")[0][-1] == "z/g.mp4"


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "b.mp4", "a.mp4", "d/b.mp4", "d/a.mp4", "c/a.mp4")
    for link in ("z", "y"):
        (tmp_path / link).symlink_to(tmp_path / "d", target_is_directory=True)
    expected = walked(tmp_path)
    scandir = os.scandir

    class Reversed:
        def __init__(self, folder: Path) -> None:
            self._entries = list(scandir(folder))

        def __enter__(self) -> Any:
            return iter(sorted(self._entries, key=lambda entry: entry.name, reverse=True))

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(media_folders.os, "scandir", Reversed)
    assert walked(tmp_path) == expected


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/day/in.mp4", "src/real/a.mp4", "src/sub/b.mp4")
    src = tmp_path / "src"
    (src / "a link").symlink_to(src / "real")
    (src / "day1").symlink_to(tmp_path / "elsewhere" / "day")
    (src / "day2").symlink_to("../elsewhere/day")
    (src / "sub" / "loop").symlink_to("..")
    (src / "above").symlink_to("../..")
    (tmp_path / "elsewhere" / "day" / "back").symlink_to(src)
    (src / "broken.mp4").symlink_to("nothing")
    (src / "linked.mp4").symlink_to("real/a.mp4")
    (src / "gone").symlink_to("nothing")
    reason = "a link to a folder that is searched elsewhere or contains this one"
    assert walked(src) == (
        ["broken.mp4", "linked.mp4", "real/a.mp4", "sub/b.mp4", "day1/in.mp4"],
        [f"a link and 4 more: {reason}"],
    )


def test_what_is_passed_over_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe.txt")
    touch(tmp_path, "a.mp4", "b.MPG", "closed/c.mp4")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    scandir = os.scandir

    def refuse(folder: Path) -> Any:
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(media_folders.os, "scandir", refuse)
    found, lines = walked(tmp_path)
    assert found == ["a.mp4"]
    assert sorted(lines) == [
        "b.MPG: .mpg files are not read",
        "closed: cannot be listed (Permission denied)",
        "pipe.mp4: not a regular file",
        "self.mp4: cannot be read (Too many levels of symbolic links)",
    ]


def test_sockets_are_not_media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # addresses of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.mp4")
        assert walked(tmp_path) == ([], ["s.mp4: not a regular file"])


def test_many_paths_with_one_reason_are_one_line() -> None:
    passed = PassedOver()
    for number in range(MAX_LINES):
        passed.add(Path(f"{number}.ts"), ".ts files are not read")
    assert len(passed.lines()) == MAX_LINES
    passed.add(Path(os.fsdecode(b"\xe9\n.ts")), ".ts files are not read")
    assert passed.lines() == ["passed over 0.ts and 3 more: .ts files are not read"]
    passed.add(Path(os.fsdecode(b"\xe9\n")), "other")
    assert passed.lines()[1] == "passed over \ufffd\ufffd: other"


def test_files_and_folders_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(tmp_path, "b/two.WAV", "b/one.mov", "a/x.mka", "a/y.wmv", "own.data")
    names = [tmp_path / "b", tmp_path / "own.data", tmp_path]
    assert [str(path.relative_to(tmp_path)) for path in find_media(names)] == [
        "b/one.mov", "b/two.WAV", "own.data", "a/x.mka",
    ]  # fmt: skip
    assert capsys.readouterr().err == f"passed over {tmp_path}/a/y.wmv: .wmv files are not read\n"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for path, message in (
        ("nothing", "nothing: no such file or folder"),
        ("pipe", "pipe: neither a regular file nor a folder"),
        ("empty", r"no video or sound in these folders \(\.mp4, \.webm, "),
    ):
        with pytest.raises(UserError, match=message):
            find_media([tmp_path / path])
