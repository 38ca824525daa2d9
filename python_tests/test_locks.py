"""What is written has one owner, until its process ends."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.locks import STATE, owner_file, owner_lock, run_lock
from avsa_fast.writing import WriteError

OWNER = """
import sys, time
from pathlib import Path
from avsa_fast.locks import owner_file, owner_lock
path = Path(sys.argv[1])
with owner_lock(owner_file(path), path):
    print("owned", flush=True)
    time.sleep(60)
"""


@contextmanager
def owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns a path until it is killed."""
    with subprocess.Popen([sys.executable, "-c", OWNER, path], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "owned\n"
            yield process
        finally:
            process.kill()


def test_the_second_comer_is_told_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with owner(path) as process:
        message = rf"x.parquet: process {process.pid} is writing it; wait until it ends"
        with pytest.raises(UserError, match=message), owner_lock(owner_file(path), path):
            pass
        with owner_lock(owner_file(tmp_path / "y"), tmp_path / "y"):  # another path beside it
            pass
        process.kill()
        process.wait()
        with owner_lock(owner_file(path), path):
            assert owner_file(path).read_text() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_a_second_comer_may_wait(tmp_path: Path) -> None:
    path, told = tmp_path / "x", list[str]()
    with owner(path) as process:
        threading.Timer(1.5, process.kill).start()
        with owner_lock(owner_file(path), path, waiting=told.append):
            assert process.wait() < 0
    assert told == [f"{path}: process {process.pid} is writing it; waiting until it ends"]


def test_one_of_many_threads_at_a_time(tmp_path: Path) -> None:
    """The lock file is removed by each owner and created by the next."""
    path, inside, most = tmp_path / "x", list[int](), list[int]()

    def work(number: int) -> None:
        for _ in range(20):
            with owner_lock(owner_file(path), path, waiting=lambda message: None):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_only_looked_at_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    owner_file(path).parent.mkdir()
    descriptor = os.open(owner_file(path), os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    looked: list[float] = []

    def close() -> None:
        looked.append(time.monotonic())
        os.close(descriptor)

    threading.Timer(0.1, close).start()
    with owner_lock(owner_file(path), path):
        assert looked, "the lock was taken while another process held it"


@pytest.mark.parametrize("kind", ["file", "folder", "pipe"])
def test_a_lock_file_is_not_followed(tmp_path: Path, kind: str) -> None:
    """In a received run."""
    run, lock = tmp_path / "run", tmp_path / "run" / STATE / "run.owner"
    lock.parent.mkdir(parents=True)
    if kind == "file":
        (tmp_path / "precious").write_text("mine")
        lock.symlink_to(tmp_path / "precious")
    elif kind == "folder":
        lock.parent.rmdir()
        (tmp_path / "precious").mkdir()
        lock.parent.symlink_to(tmp_path / "precious")
    else:
        os.mkfifo(lock)
    with pytest.raises(WriteError, match=r"\.avsa_fast"), run_lock(run):
        pass
    if kind == "file":
        assert (tmp_path / "precious").read_text() == "mine"
    if kind == "folder":
        assert list((tmp_path / "precious").iterdir()) == []
