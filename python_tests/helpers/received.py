"""What the tests of received folders share: a dataset and a run to spoil, and what must not change around them."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from avsa_fast.config import PRESETS, save_config
from avsa_fast.models import ModelConfig

from .forked import Forked, forked
from .media import write_sound, write_video

CLIPS = ("a", "b", "c", "d")
LINKED_FILES = ("index.parquet", "detections.parquet", "train.txt", "test.txt", "validation.txt", "report.html")
STATE_FILES = ("lock", "source", "journal.jsonl", "done")
RUN_FILES = ("config.yaml", "log.jsonl", "metrics.json", "weights.safetensors")
Surroundings = dict[str, tuple[object, ...]]


@pytest.fixture(scope="module")
def command() -> Iterator[Forked]:
    with forked() as process:
        yield process


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, command: Forked) -> Path:
    """Media, a dataset folder prepared from them as a stranger would send it, and a run of four steps on it."""
    folder = tmp_path_factory.mktemp("made")
    for name in CLIPS:
        write_video(folder / "media" / "video" / f"{name}.mp4", 1.25, 64, 32, sphere=True)
        write_sound(folder / "media" / "audio" / f"{name}.wav", 1.25, 4)
    (folder / "media" / "train.txt").write_text("a\nb\n")
    (folder / "media" / "test.txt").write_text("c\nd\n")
    data = folder / "data"
    shutil.copytree(folder / "media", data)
    ended(command.run("prepare", data, data, "--detector", "none", "--workers", 1), 0)
    write_table(data / "detections.parquet", {"name": pa.array([], pa.string())})
    tiny = PRESETS["tiny"]
    config = replace(
        tiny, samples=replace(tiny.samples, crops="random", max_height=32), views=replace(tiny.views, crop_size=16),
        model=ModelConfig(video_width=8, video_blocks=(1, 1, 1, 1), audio_width=8, transformer_ffn=16),
        batch=4, steps=4, avc_share=0.5, checkpoint_every=2, held_out_samples=2, data="",
    )  # fmt: skip
    save_config(config, folder / "config.yaml")
    ended(command.run("train", *training(folder / "config.yaml", data, folder / "run")), 0)
    ended(
        command.run("evaluate", folder / "run", "--task", "avc", "--moments", 1, "--classifiers", 1, "--workers", 0), 0
    )
    return folder


def training(config: Path, data: Path, out: Path) -> tuple[object, ...]:
    return "--preset", "tiny", "--config", config, "--data", data, "--out", out, "--workers", 0


def write_table(path: Path, columns: dict[str, pa.Array]) -> None:
    pq.write_table(pa.table(columns), path)


def ended(done: tuple[int, str], *codes: int) -> str:
    """Checks how a command ended; returns its output."""
    code, output = done
    assert code in codes, output
    assert "Traceback" not in output
    return output


def surroundings(folder: Path) -> Surroundings:
    """All that a folder holds: names, types, sizes, times, contents and where links point to."""
    found: Surroundings = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        state = path.lstat()
        content: object = None
        if stat.S_ISLNK(state.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(state.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        times = (state.st_mtime_ns, state.st_ctime_ns)
        found[str(path.relative_to(folder))] = (state.st_mode, state.st_nlink, times, content)
    return found


@pytest.fixture
def outside(tmp_path: Path, made: Path) -> Path:
    """What nothing may change: a user's files, media, an empty folder, and the checkpoints of a run."""
    folder = tmp_path / "outside"
    shutil.copytree(made / "media", folder / "media")
    (folder / "media" / "video" / ".download.part1.rar").write_text("mine")
    for name in (*LINKED_FILES, *STATE_FILES, "precious.txt", "precious.mp4", "avc.json"):
        (folder / name).write_text("a\n")
    for name in RUN_FILES:
        shutil.copy(made / "run" / name, folder)
    (folder / "place").mkdir()
    shutil.copytree(made / "run" / "checkpoints", folder / "checkpoints")
    for name in ("step-0000001", "step-0000009"):
        shutil.copytree(made / "run" / "checkpoints" / "step-0000002", folder / "checkpoints" / name)
    shutil.rmtree(folder / "checkpoints" / "step-0000004")
    return folder


def replaced(path: Path, link: Path) -> None:
    """Puts a link in a path's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(link)


def forge_records(folder: Path, outside: Path) -> None:
    """Writes records of temporary paths and locks that are links out of the folder."""
    state = folder / ".avsa_fast"
    state.mkdir()
    (state / "0123456789abcdef.lock").touch()
    (state / "0123456789abcdef").symlink_to(outside / "place")
    (state / "fedcba9876543210.lock").symlink_to(outside / "precious.txt")
    (state / "fedcba9876543210").mkdir()
    (state / "00112233aabbccdd.lock").touch()
    (state / "00112233aabbccdd").mkdir()
    for name in ("out", "index.parquet", "avc.json"):
        (state / "00112233aabbccdd" / name).symlink_to(outside)
    for name in ("index.parquet.owner", "run.owner"):
        (state / name).symlink_to(outside / "precious.txt")


def received(made: Path, tmp_path: Path) -> Path:
    """A fresh copy of the dataset folder, which says that it was prepared from elsewhere."""
    data = tmp_path / "received"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(made / "data", data, symlinks=True)
    (data / ".prepare" / "source").write_text("/elsewhere")
    return data


def received_run(made: Path, tmp_path: Path, data: Path) -> Path:
    """A fresh copy of the run, two of whose four steps are done, on a dataset."""
    run = tmp_path / "received_run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(made / "run", run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"data": str(data)}))
    shutil.rmtree(run / "checkpoints" / "step-0000004")
    return run
