"""Small file systems that fill up. They need root."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PAGE = 4096  # bytes; the unit in which a tmpfs counts


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A function that mounts a file system of a number of bytes; skips the test where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        line = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(line, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    """Changes a mounted file system: "size=BYTES", "ro" or "rw"."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def leave(folder: Path, room: int | None) -> None:
    """Fills a file system so that `room` bytes are left, or frees it."""
    filler = folder / ".filler"
    filler.unlink(missing_ok=True)
    if room is not None:
        stat = os.statvfs(folder)
        filler.write_bytes(bytes(max(0, stat.f_bavail * stat.f_frsize - room) // PAGE * PAGE))
