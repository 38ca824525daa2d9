"""Files and folders are replaced as a whole or not at all, and temporary ones are removed."""

import os
from pathlib import Path

import pytest

from avsa_fast.files import atomic_folder, atomic_symlink, atomic_write, remove_parts


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
    with pytest.raises(OSError, match="not empty"), atomic_folder(folder):
        pass
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "other"):
        raise ZeroDivisionError
    assert list(folder.parent.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == [folder.parent]


def test_a_link_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link"
    for target in ("a", "b"):
        (tmp_path / target).write_text(target)
        atomic_symlink(link, tmp_path / target)
        assert link.read_text() == target
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "link"}


def test_parts_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.1.part").touch()
    (tmp_path / ".folder.22.part" / "sub").mkdir(parents=True)
    (tmp_path / ".hidden").touch()
    (tmp_path / "a.part").touch()
    remove_parts(tmp_path, "folder")
    assert {path.name for path in tmp_path.iterdir()} == {".a.txt.1.part", ".hidden", "a.part"}
    remove_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".hidden", "a.part"}
    remove_parts(tmp_path / "missing")
