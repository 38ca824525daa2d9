"""Options out of range, and paths that cannot be used, end every command with one line and exit code 2."""

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pytest
from helpers.commands import invoke, module, run

from avsa_fast.errors import UserError
from avsa_fast.flags import Range, Workers, checked

MAX_SECONDS = 15.0
NUMBERS = ("-1", "0", "1000000000", "1e9", "1" + 26 * "0", "1e26", "nan", "inf", "text", "")
PATHS = ("missing", "file", "folder", "unreadable", "unreadable_folder", "loop", "x" * 300, "")
TEXTS = {"--detector": (":", "os:", "..:x", "os:nothing"), "--directions": ("text", "1", "nan,0", "0,91", "inf,0")}

# Words with which each command fails after its options are checked, whatever a further option says.
FAILING = {
    "scenes": ("file",),
    "prepare": ("nowhere", "nowhere2"),
    "train": ("--data", "nowhere", "--out", "nowhere2"),
    "evaluate": ("nowhere", "--task", "avc"),
    "embed": ("nowhere", "file"),
    "export": ("nowhere", "nowhere2"),
    "report": ("nowhere",),
    "seld train": ("nowhere", "--data", "nowhere", "--out", "nowhere2"),
    "seld predict": ("nowhere", "file", "--out", "nowhere2"),
    "seld score": ("nowhere", "nowhere"),
}
# The same for each positional path, {}.
POSITIONAL = {
    "scenes": ("{} --rir nowhere",),
    "prepare": ("{} nowhere", "nowhere {}"),
    "evaluate": ("{} --task avc",),
    "embed": ("{} file", "nowhere {}"),
    "export": ("{} nowhere", "nowhere {}"),
    "report": ("{}",),
    "seld train": ("{} --data nowhere --out nowhere2",),
    "seld predict": ("{} file --out nowhere2", "nowhere {} --out nowhere2"),
    "seld score": ("{} nowhere", "nowhere {}"),
}


def main_of(name: str) -> Callable[..., None]:
    package, _, command = name.partition(" ")
    main: Callable[..., None] = getattr(import_module(f"avsa_fast.{package}.cli"), command or "main")
    return main


def flags(name: str, *kinds: type) -> list[str]:
    """Options of a command, but not its positional arguments, whose values have one of some types."""
    main = main_of(name)
    hints = get_type_hints(main)
    optional = [
        key for key, parameter in signature(main).parameters.items() if parameter.default is not parameter.empty
    ]
    return [f"--{key.replace('_', '-')}" for key in optional if set(kinds) & parts(hints[key])]


def parts(hint: Any) -> set[Any]:
    """The types within a type."""
    return {hint}.union(*map(parts, getattr(hint, "__args__", ())))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read everything; within this context it may read only what its permissions allow."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    effective = data[0]
    data[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, data) == 0
    try:
        yield
    finally:
        data[0] = effective
        assert libc.capset(header, data) == 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with every kind of path that an option may name."""
    (tmp_path / "file").write_bytes(b"\x89\x00\xff")
    (tmp_path / "folder").mkdir()
    (tmp_path / "unreadable").write_bytes(b"")
    (tmp_path / "unreadable").chmod(0)
    (tmp_path / "unreadable_folder").mkdir()
    (tmp_path / "unreadable_folder").chmod(0)
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "cache"))
    with unprivileged():
        yield tmp_path
    (tmp_path / "unreadable_folder").chmod(0o700)


def assert_refused(name: str, *words: str, names: str = "") -> None:
    """Checks that a command ends with one line and code 2 within MAX_SECONDS."""
    began = time.monotonic()
    done = invoke(main_of(name), name, *words)
    seen = f"{name} {' '.join(map(repr, words))}: {done}"
    assert done.returncode == 2, seen
    lines = done.stderr.splitlines()
    assert len([line for line in lines if not line.startswith("passed over ")]) == 1, seen
    assert lines[-1].startswith(f"{name}: "), seen
    assert names in lines[-1], seen
    assert time.monotonic() - began < MAX_SECONDS, seen


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILING)
def test_every_number_of_every_option(folder: Path, name: str) -> None:
    invoke(main_of(name), name, *FAILING[name])  # imports what the command needs, outside the time limit
    for flag in flags(name, int, float):
        for value in NUMBERS:
            assert_refused(name, *FAILING[name], f"{flag}={value}")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILING)
def test_every_path_of_every_option(folder: Path, name: str) -> None:
    invoke(main_of(name), name, *FAILING[name])
    for value in PATHS:
        for flag in flags(name, Path, str):
            assert_refused(name, *FAILING[name], f"{flag}={value}")
            if value:  # not an option of its own
                assert_refused(name, *FAILING[name], flag, value)
        for words in POSITIONAL.get(name, ()):
            assert_refused(name, *(word.replace("{}", value) for word in words.split(" ")))


@pytest.mark.slow
@pytest.mark.parametrize("flag", TEXTS)
def test_texts_of_options(folder: Path, flag: str) -> None:
    for name in FAILING:
        if flag in flags(name, str):
            for value in TEXTS[flag]:
                assert_refused(name, *FAILING[name], flag, value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evaluate nowhere --task avc --moments 0", "--moments 0: must be within 1 and 10,000"),
        ("evaluate nowhere --task avc --steps=1", "--steps 1: must be within 2 and 10,000,000"),
        ("embed nowhere file --hop nan", "--hop nan: must be within 0.001 and 3,600"),
        ("embed nowhere file --hop 1e-300", "--hop 1e-300: must be within 0.001 and 3,600"),
        ("embed nowhere file --channels 0 1 2 256", "--channels 256: must be within 0 and 255"),
        ("scenes out --count 100000000000000000000000000", "--count 100000000000000000000000000: must be within 1 and"),
        ("scenes out --seconds inf", "--seconds inf: must be within 1 and 600"),
        ("train --data nowhere --seed -1", "--seed -1: must be within 0 and 4,294,967,295"),
        ("train --data nowhere --steps text", "--steps: 'text' is not INT; --help describes the options"),
        ("scenes out --count 1e26", "--count: '1e26' is no whole number"),
        ("scenes out --seconds x", "--seconds: 'x' is no number"),
        ("train --data nowhere --preset huge", "invalid choice 'huge' for argument '--preset'"),
        ("train --bogus", "Unrecognized options: --bogus"),
        ("report nowhere --clips 1000000000", "--clips 1000000000: must be within 1 and 1,000"),
        ("prepare nowhere dst --workers 1000000", "--workers 1000000: must be within 1 and 10,000"),
        ("prepare nowhere dst --workers 9999", "the limit of this machine"),
        ("train --data=", "--data '': is empty; give a value, or leave it out"),
        ("prepare src dst --detector :", "src: no such folder"),
    ],
)
def test_options_that_cannot_be_used(folder: Path, line: str, message: str) -> None:
    name, *words = line.split(" ")
    assert_refused(name, *words, names=message)


def test_an_empty_path_is_not_the_current_folder(folder: Path) -> None:
    assert_refused("train", "--data", "", "--out", "run", names="--data '': is empty")
    assert_refused("embed", "", "file", names="'': is empty")


def test_a_detector_that_is_not_one(folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "a.mp4").write_bytes(b"")
    for value in (":", "os:", "..:x"):
        done = run(*module("prepare"), "src", "dst", "--detector", value, "--workers", 1)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert done.stderr.splitlines()[-1].startswith(f"prepare: --detector {value}: no such detector")


def test_workers_are_bounded_by_the_machine() -> None:
    @checked
    def main(workers: Workers = 1) -> None:
        pass

    main(workers=os.cpu_count() or 1)
    with pytest.raises(UserError, match="--workers 4096: must be within 0 and"):
        main(workers=4096)


def test_ranges_apply_to_each_number_and_not_to_none() -> None:
    @checked
    def main(
        some: tuple[Annotated[int, Range(0, 3)], ...] = (), one: Annotated[float | None, Range(0, 1)] = None
    ) -> None:
        pass

    main((0, 3), 0.5)
    main()
    with pytest.raises(UserError, match=r"^--some 4: must be within 0 and 3$"):
        main((1, 4))
    with pytest.raises(UserError, match=r"^--one nan: must be within 0 and 1$"):
        main(one=float("nan"))
