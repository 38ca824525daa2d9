"""Every command, killed at random instants or out of disk space, and run again until it is done: the files are those of
an undisturbed run, no process is left behind, and no temporary file.

`make torture` does it 20 times per command, or COUNT times. The random numbers are fresh; a failing test prints the
line that draws the same ones again, although what they hit depends on the machine, too.
"""

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers import runs
from helpers.commands import Command, module
from helpers.disks import remount

from avsa_fast.config import PRESETS
from avsa_fast.models import ModelConfig
from avsa_fast.scenes.build import build_scenes

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("AVSA_TORTURE", "4"))  # disturbances of each command
KINDS = ("SIGKILL", "SIGTERM", "SIGINT", "full disk")
ROOM = 1 << 30  # bytes of the small file system while it is not full
ROOT = Path(__file__).parent
Line = tuple[object, ...]


@dataclass(frozen=True)
class Case:
    """A command, all of whose files are in one folder.

    Attributes:
        line: The command's next call, from the folder of its inputs and its own folder.
        same: Patterns of the files whose bytes are promised.
        varying: Patterns of the files whose names differ from run to run.
        given: Whether the command writes into a run, which is copied into its folder.
    """

    line: Callable[[Path, Path], Line]
    same: tuple[str, ...]
    varying: tuple[str, ...] = ()
    given: bool = False

    def begin(self, made: Path, folder: Path) -> None:
        """Empties the folder."""
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if self.given:
            shutil.copytree(made / "run", folder / "run")

    def files(self, folder: Path) -> dict[str, bytes | None]:
        """All files, hidden ones too, with their contents if they are promised."""
        found: dict[str, bytes | None] = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and not any(fnmatch(name, pattern) for pattern in self.varying):
                found[name] = path.read_bytes() if any(fnmatch(name, pattern) for pattern in self.same) else None
            elif path.is_dir() and not any(path.iterdir()):
                found[f"{name}/"] = None
        return found


def training(made: Path, folder: Path) -> Line:
    run = folder / "run"
    if (run / "config.yaml").exists():
        return "train", "--resume", "--out", run, "--workers", 1
    given = ("--config", made / "run" / "config.yaml", "--data", made / "scenes", "--steps", 12)
    return "train", *given, "--out", run, "--workers", 1


CASES = {
    "scenes": Case(
        lambda made, folder: ("scenes", folder / "scenes", "--count", 5, "--seconds", 2), same=("scenes/*",)
    ),
    "prepare": Case(
        lambda made, folder: ("prepare", made / "media", folder / "data", "--detector", "none", "--transcode"),
        same=("data/*.parquet", "data/*.txt", "data/video/*", "data/audio/*"),
    ),
    "train": Case(
        training, same=("run/weights.safetensors", "run/metrics.json", "run/config.yaml"),
        varying=("run/events.out.tfevents.*",),
    ),
    "evaluate": Case(
        lambda made, folder: (
            "evaluate", folder / "run", "--task", "avc", "avsa", "retrieval", "--classifiers", 1, "--workers", 1,
        ),
        same=("run/*",), given=True,
    ),
    "embed": Case(
        lambda made, folder: ("embed", made / "run", made / "scenes", "--out", folder / "out.npy", "--hop", 0.1),
        same=("out.npy", "out.csv"),
    ),
    "report": Case(
        lambda made, folder: ("report", folder / "run"),
        same=("run/weights.safetensors", "run/log.jsonl", "run/metrics.json", "run/config.yaml"), given=True,
    ),
    "export": Case(
        lambda made, folder: ("export", made / "run", folder / "exported"),
        same=("exported/model.safetensors", "exported/config.json", "exported/README.md"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inputs: scenes, some of them as media to prepare, and a run."""
    folder = tmp_path_factory.mktemp("made")
    build_scenes(folder / "scenes", count=8, seconds=1.25, seed=5)
    for kind in ("video", "audio"):
        (folder / "media" / kind).mkdir(parents=True)
        for path in sorted((folder / "scenes" / kind).iterdir())[:4]:
            (folder / "media" / kind / path.name).symlink_to(path)
    tiny = PRESETS["tiny"]
    config = replace(
        tiny, data=str(folder / "scenes"), samples=replace(tiny.samples, max_height=32),
        views=replace(tiny.views, crop_size=16),
        model=ModelConfig(video_width=8, video_blocks=(1, 1, 1, 1), audio_width=8, transformer_ffn=16),
        batch=4, steps=2, avc_share=0.5, checkpoint_every=2, evaluate_every=4, held_out_samples=4,
    )  # fmt: skip
    runs.run(config, folder / "run")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_torture(name: str, made: Path, tmp_path: Path) -> None:
    if name == "export":
        pytest.importorskip("onnxscript")
    case, seed = CASES[name], int(os.environ.get("AVSA_TEST_SEED", secrets.randbelow(2**31)))
    test = f"{Path(__file__).relative_to(ROOT.parent)}::test_torture[{name}]"
    print(f"AVSA_TEST_SEED={seed} AVSA_TORTURE={COUNT} {sys.executable} -m pytest -m slow '{test}'")
    rng = random.Random(seed)
    whole, folder = tmp_path / "whole", tmp_path / "disturbed"
    whole.mkdir()
    case.begin(made, whole)
    began = time.monotonic()
    finish(case, made, whole)
    took, wanted = time.monotonic() - began, case.files(whole)
    size = sum(path.lstat().st_blocks * 512 for path in whole.rglob("*"))
    with small_disk(folder) as resize:
        case.begin(made, folder)
        if resize is None:
            warnings.warn("without full disks: only root can make a small file system", stacklevel=1)
        kinds = KINDS if resize is not None else KINDS[:-1]
        for number in range(COUNT):
            kind, share = kinds[number % len(kinds)], rng.random()
            print(f"{number + 1}/{COUNT}: {kind}, at {share:.0%} of {took:.1f} s or {size} bytes")
            if kind == "full disk" and resize is not None:
                state = os.statvfs(folder)
                there = (state.f_blocks - state.f_bfree) * state.f_frsize
                resize(there + round(share * max(size - there, size / 4)))
                done = fill(case, made, folder)
                resize(ROOM)
            else:
                done = kill(case, made, folder, signal.Signals[kind], share * took, whole_group=rng.random() < 0.5)
            if done:
                differing(case.files(folder), wanted)
            if case.files(folder) == wanted:  # also if it was killed when nothing was left to do
                case.begin(made, folder)
        finish(case, made, folder)
        differing(case.files(folder), wanted)
        if name == "train":
            assert losses(folder) == losses(whole)


def started(case: Case, made: Path, folder: Path) -> Command:
    name, *arguments = case.line(made, folder)
    return Command(*module(str(name)), *arguments, env=os.environ | {"PYTHONPATH": f"{ROOT.parent}:{ROOT}"})


def finish(case: Case, made: Path, folder: Path) -> None:
    """Runs the command to its end."""
    with started(case, made, folder) as command:
        done = command.finish()
    assert done.returncode == 0, done.stderr


def kill(case: Case, made: Path, folder: Path, number: signal.Signals, after: float, *, whole_group: bool) -> bool:
    """Runs the command, and signals it or all its processes; returns whether it was done before."""
    with started(case, made, folder) as command:
        try:
            command.process.wait(after)
        except subprocess.TimeoutExpired:
            (os.killpg if whole_group else os.kill)(command.process.pid, number)
        done = command.finish()  # fails if a process remains
    print(f"  code {done.returncode}: {last_line(done.stderr)}")
    in_start = number == signal.SIGINT and "KeyboardInterrupt" in done.stderr  # of Python itself
    assert done.returncode in (0, 130, -number) or in_start, done.stderr
    return done.returncode == 0


def fill(case: Case, made: Path, folder: Path) -> bool:
    """Runs the command on a disk with little space; returns whether that was enough."""
    with started(case, made, folder) as command:
        done = command.finish()
    print(f"  code {done.returncode}: {last_line(done.stderr)}")
    assert done.returncode in (0, 2), done.stderr
    if done.returncode == 2:
        assert "Traceback" not in done.stderr
        assert "No space left on device" in last_line(done.stderr)
        assert str(folder) in last_line(done.stderr)
    return done.returncode == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[int], None] | None]:
    """Makes a folder with a file system of its own; yields what sets its bytes, or None if that is not possible."""
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", folder)
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield lambda size: remount(folder, f"size={size}")
    finally:
        subprocess.run(("umount", folder), check=True)


def differing(found: dict[str, bytes | None], wanted: dict[str, bytes | None]) -> None:
    """Fails with the names of the files that are missing, left over or different."""
    names = sorted(name for name in found.keys() | wanted.keys() if name not in found or name not in wanted)
    assert not names, f"left over: {[n for n in names if n in found]}; missing: {[n for n in names if n in wanted]}"
    assert not [name for name in wanted if found[name] != wanted[name]]


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [(entry["step"], entry["loss"]) for entry in map(json.loads, lines)]


def last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
