"""Files and folders are replaced as a whole or not at all, and only what is on record is removed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avsa_fast.files import atomic_folder, atomic_symlink, atomic_write, remove_abandoned, require_writable, write_text
from avsa_fast.locks import STATE
from avsa_fast.writing import WriteError

KILLED = """
import os, signal, sys
from pathlib import Path
from avsa_fast.files import atomic_folder, atomic_write
folder = Path(sys.argv[1])
with atomic_write(folder / "a.txt") as part, atomic_folder(folder / "b") as parts:
    part.write_text("half")
    (parts / "c.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path) -> None:
    """Leaves what a process leaves that is killed while it writes a file and a folder."""
    subprocess.run([sys.executable, "-c", KILLED, folder], check=False)
    assert len(list((folder / STATE).glob("*/*"))) >= 2


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as part:
        part.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_flushed_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: calls.append("fsync") or fsync(file))
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append("replace") or replace(a, b))
    with atomic_write(tmp_path / "a.txt") as part:
        part.touch()
    assert calls == ["fsync", "replace", "fsync"]
    calls.clear()
    with atomic_folder(tmp_path / "folder") as part:
        (part / "sub").mkdir()
        (part / "sub" / "b.txt").touch()
    assert calls == ["fsync", "fsync", "fsync", "replace", "fsync"]


def test_a_folder_appears_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "deeper" / "folder"
    with atomic_folder(folder) as part:
        (part / "b.txt").write_text("new")
        assert not folder.exists()
    assert (folder / "b.txt").read_text() == "new"
    with pytest.raises(WriteError, match="not empty"), atomic_folder(folder):
        pass
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "other"):
        raise ZeroDivisionError
    message = rf"^{tmp_path / 'other' / 'sub' / 'b.txt'}: cannot be written: .*/other/sub: no such folder$"
    with pytest.raises(WriteError, match=message), atomic_folder(tmp_path / "other") as part:
        write_text(part / "sub" / "b.txt", "new")
    assert list(folder.parent.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == [folder.parent]


def test_a_link_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link"
    for target in ("a", "b"):
        (tmp_path / target).write_text(target)
        atomic_symlink(link, tmp_path / target)
        assert link.read_text() == target
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "link"}


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("kind", ["link", "file", "pipe"])
def test_the_state_folder_is_a_folder(tmp_path: Path, kind: str) -> None:
    state, outside = tmp_path / "data" / STATE, tmp_path / "outside"
    for folder in (state.parent, outside):
        folder.mkdir()
    if kind == "link":
        state.symlink_to(outside)
    elif kind == "file":
        state.touch()
    else:
        os.mkfifo(state)
    with pytest.raises(
        WriteError, match=rf"{STATE}: is a link|a.txt: cannot be written: (File exists|Not a directory)"
    ):
        write_text(state.parent / "a.txt", "new")
    assert list(outside.iterdir()) == []


def test_the_next_write_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    killed(tmp_path)
    write_text(tmp_path / "other.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_kept(tmp_path: Path) -> None:
    killed(tmp_path)
    with atomic_write(tmp_path / "used.txt") as part:
        part.write_text("new")
        killed(tmp_path)
        remove_abandoned(tmp_path)
        assert len(list((tmp_path / STATE).glob("*/*"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["used.txt"]
    remove_abandoned(tmp_path / "missing")


def test_only_what_is_on_record_is_removed(tmp_path: Path) -> None:
    """Also if names that only resemble records lead out of the folder."""
    data = tmp_path / "data"
    names = (
        ".notes.1.part", ".party", "video/.download.part1.rar", ".a.txt.22.part/inside", f"{STATE}/mine.txt",
        f"{STATE}/..lock", f"{STATE}/...lock", f"{STATE}/0123456789abcdef/inside",
    )  # fmt: skip
    for name in names:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("mine")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (data / STATE / "00000000000000aa.lock").symlink_to(tmp_path / "precious" / "file")
    (data / STATE / "00000000000000bb.lock").touch()
    (data / STATE / "00000000000000bb").symlink_to(tmp_path / "precious")
    for folder in (data, data / "video"):
        remove_abandoned(folder)
        write_text(folder / "new.txt", "new")
    assert all((data / name).read_text() == "mine" for name in names)
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_a_file_that_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    require_writable(tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "missing" / "a.html", tmp_path / "file" / "a.html", Path("/proc/a.html")):
        with pytest.raises(WriteError, match=rf"^{path}: cannot be written: "):
            require_writable(path)
