"""Slow tests of prepare: hundreds of damaged files, kills at random times, a cluster that loses a worker."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.commands import Command, module

from avsa_fast.data.table_rules import STATES
from avsa_fast.data.tables import INDEX, read_table
from avsa_fast.isolation import MAX_MEMORY
from avsa_fast.prepare import PrepareOptions, prepare

pytestmark = pytest.mark.slow
AddClip = Callable[..., None]
ROOT = Path(__file__).parent.parent
DETECTOR = "helpers.detectors:BrightnessDetector"
TABLES = ("index.parquet", "detections.parquet")


def started(src: Path, dst: Path, *options: str) -> Command:
    environment = os.environ | {"PYTHONPATH": f"{ROOT.parent}:{ROOT}"}
    return Command(*module("prepare"), src, dst, "--detector", DETECTOR, *options, env=environment)


def prepared(src: Path, dst: Path, *options: str) -> list[str]:
    """Runs prepare to its end; returns the lines of its standard error."""
    with started(src, dst, *options) as command:
        done = command.finish()
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def boxes(data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """Finds begin and end of the boxes within a range of an MP4 file."""
    found, at = [], begin
    while at + 8 <= end:
        size = int.from_bytes(data[at : at + 4])
        if size < 8 or at + size > end:
            break
        found.append((at, at + size))
        at += size
    return found


def nested(data: bytes) -> list[list[tuple[int, int]]]:
    """Groups of sibling boxes, at all depths of container boxes."""
    groups, left = [], [(0, len(data))]
    while left:
        group = boxes(data, *left.pop())
        groups.append(group)
        left += [(a + 8, b) for a, b in group if data[a + 4 : a + 8] in (b"moov", b"trak", b"mdia", b"minf", b"stbl")]
    return [group for group in groups if len(group) > 1]


def damaged(data: bytes, kind: str, rng: random.Random) -> bytes:
    if kind == "truncated":
        return data[: rng.randrange(len(data))]
    out = bytearray(data)
    if kind == "bits":  # anywhere in the file
        for _ in range(rng.choice((1, 10, 200))):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif kind == "lengths":  # in the metadata
        moov = data.index(b"moov")
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.randrange(moov, len(data) - 4)
            out[at : at + rng.choice((1, 4))] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)))
    elif kind == "boxes":
        (a, b), (c, d) = sorted(rng.sample(rng.choice(nested(data)), 2))
        out = bytearray(data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:])
    elif kind == "hole":
        at = rng.randrange(len(out))
        out[at : at + rng.randrange(1, 50000)] = bytes(0)
    return bytes(out)


def test_damaged_files(assets: Path, tmp_path: Path, add_video: AddClip) -> None:
    """No crash or hang, at most 2 GB per process (a clip that needs more is `costly`), and a row for every file."""
    rng = random.Random(20)
    src, dst = tmp_path / "src", tmp_path / "dst"
    src.mkdir()
    add_video(tmp_path / "foa.mp4", "4.0")
    media = [
        assets / "video" / "kqAZkf5Odyw-80.mp4",
        assets / "video" / "richoh1_erp_mono_audio.mp4",
        tmp_path / "foa.mp4",
    ]
    kinds = ("truncated", "bits", "lengths", "boxes", "hole")
    for number in range(320):
        path = media[number % len(media)]
        kind = kinds[number // len(media) % len(kinds)]
        (src / f"{number:03d}-{kind}.mp4").write_bytes(damaged(path.read_bytes(), kind, rng))
    (src / "whole.mp4").write_bytes(media[2].read_bytes())
    (src / "zero.mp4").touch()
    lines = prepared(src, dst, "--workers", "2", "--detect-fps", "0.5")
    rows = {row["name"]: row for row in read_table(dst / "index.parquet", INDEX)}
    assert rows.keys() == {path.stem for path in src.glob("*.mp4")}
    assert {row["state"] for row in rows.values()} <= set(STATES)
    assert (rows["whole"]["state"], rows["zero"]["state"]) == ("ok", "unreadable")
    bad = [row for row in rows.values() if row["state"] != "ok"]
    assert len(bad) > 100
    assert all(row["reason"] and "\n" not in row["reason"] for row in bad)
    assert sum(line.startswith("skipped ") for line in lines) == len(bad)
    assert not any("crashes the process" in row["reason"] for row in bad)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MAX_MEMORY
    print({state: sum(row["state"] == state for row in rows.values()) for state in STATES})


def test_killed_runs_resume_to_the_same_bytes(tmp_path: Path, add_video: AddClip, add_sound: AddClip) -> None:
    """The process group, or the main process alone, is killed at 20 random times."""
    src = tmp_path / "src"
    for number in range(8):
        add_video(src / f"clip{number}.mp4", "4.0", seconds=3)
    add_video(src / "silent.mp4")
    (src / "broken.mp4").write_bytes(b"none")
    options = ("--transcode", "--height", "64", "--workers", "2")
    begin = time.monotonic()
    prepared(src, tmp_path / "whole", *options)
    took = time.monotonic() - begin
    kills = 0
    while kills < 20:
        anew, began = not (tmp_path / "killed").exists(), time.monotonic()
        with started(src, tmp_path / "killed", *options) as command:
            try:
                command.process.wait(random.uniform(0.2, 0.8) * took)
            except subprocess.TimeoutExpired:
                (os.killpg if random.random() < 0.5 else os.kill)(command.process.pid, signal.SIGKILL)
                kills += 1
            else:  # finished before it was killed
                took = min(took, time.monotonic() - began) if anew else took
                shutil.rmtree(tmp_path / "killed")
            command.finish()
        if random.random() < 0.2:
            shutil.rmtree(tmp_path / "killed", ignore_errors=True)  # restart from scratch
    prepared(src, tmp_path / "killed", *options)
    ours = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").glob("*[!.]*/[!.]*"))
    theirs = sorted(path.relative_to(tmp_path / "killed") for path in (tmp_path / "killed").glob("*[!.]*/[!.]*"))
    assert [p for p in ours if p.parts[0] != ".prepare"] == [p for p in theirs if p.parts[0] != ".prepare"]
    for path in [p for p in ours if p.parts[0] != ".prepare"] + [Path(table) for table in TABLES]:
        assert (tmp_path / "whole" / path).read_bytes() == (tmp_path / "killed" / path).read_bytes()


def test_ray_gives_the_same_bytes_although_a_worker_dies(
    tmp_path: Path, add_video: AddClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    import psutil
    import ray

    src = tmp_path / "src"
    for number in range(12):
        add_video(src / f"clip{number}.mp4", "4.0")
    (src / "broken.mp4").write_bytes(b"none")
    options = PrepareOptions(detector="helpers.detectors:SlowDetector", detect_fps=20)
    prepare(src, tmp_path / "local", options, workers=2, progress=False)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT.parent}:{ROOT}")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        killed = []

        def kill_one() -> None:
            """Kills an actor with a child process, which is at work."""
            actors = [
                process
                for process in psutil.process_iter(["name", "cmdline"])
                if "_PrepareActor" in " ".join(process.info["cmdline"] or ()) and process.children()
            ]
            if actors:
                actors[0].kill()
                killed.append(actors[0].pid)

        from avsa_fast.prepare import run

        place = run._link_media

        def place_and_kill(*arguments: object, **options: object) -> object:
            if not killed:
                kill_one()
            return place(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(run, "_link_media", place_and_kill)
        prepare(src, tmp_path / "cluster", options, workers=2, engine="ray", progress=False)
    finally:
        ray.shutdown()
    assert killed
    for table in TABLES:
        assert (tmp_path / "local" / table).read_bytes() == (tmp_path / "cluster" / table).read_bytes()
