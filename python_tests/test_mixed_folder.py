"""A folder of sixty files, a third of them odd, through the commands prepare and embed: each is accounted for."""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import commands
from helpers.clips import make_clip
from helpers.media import write_sound, write_video
from helpers.prepared import rows
from helpers.untrained import config, run, scenes

from avsa_fast.run import Run

__all__ = ["config", "run", "scenes"]

pytestmark = pytest.mark.slow

CASES = Path(__file__).parent / "media_cases"
KINDS = [
    ("mp4", "libx264", "aac", None), ("mp4", "libx264", "flac", None), ("mov", "libx264", "pcm_s16le", None),
    ("mkv", "libx264", "libopus", None), ("webm", "libvpx", "libopus", None), ("mp4", "libx264", "aac", "wav"),
    ("mp4", "libx264", "aac", "flac"), ("mp4", "libx264", "aac", "caf"),
]  # fmt: skip
GOOD = 40
# By the name of the clip or file: its state in the index, or a part of its line.
ODD_STATES = {
    "bformat_guid": "ok", "late_video": "ok", "no_duration": "ok", "no_length": "ok", "over_under_v2": "ok",
    "stereo_first_foa_second": "ok", "sa3d_wxyz": "ok", "video_ends_early": "ok", "rotated180": "ambiguous",
    "flat_pillarboxed": "refused", "film": "refused", "garbage": "unreadable", "empty": "unreadable",
    "five_channels": "ambiguous", "silent_film": "incomplete",
}  # fmt: skip


def make_folder(folder: Path, scratch: Path) -> None:
    """Makes 40 good clips in subfolders, and the odd files beside them."""
    rng = np.random.default_rng(0)
    for number in range(GOOD):
        container, video, sound, beside = KINDS[number % len(KINDS)]
        place = folder / f"day{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        work = scratch / str(number)
        work.mkdir()
        made = make_clip(
            work, rng, container=container, video_codec=video, sound_codec=sound, beside=beside,
            video_start=0.0, sound_start=0.0, seconds=1.0, fps=16, rate=48000,
        )  # fmt: skip
        for file in {made.video, made.sound}:
            shutil.move(file, place / f"good{number:02d}{file.suffix}")
    for file in CASES.iterdir():
        if file.suffix != ".md":
            shutil.copy(file, folder)
    write_video(folder / "film.mp4", 1, 64, 48)
    write_sound(folder / "film.wav", 1, 4)
    (folder / "garbage.mp4").write_bytes(b"not a video" * 100)
    (folder / "empty.mp4").touch()
    write_video(folder / "five_channels.mp4", 1, 64, 32, sphere=True)
    write_sound(folder / "five_channels.wav", 1, 5)
    write_video(folder / "silent_film.mp4", 1, 64, 32, sphere=True)
    write_sound(folder / "lonely.wav", 1, 4)
    write_video(folder / "old.avi", 1, 64, 48, codec="mpeg4")
    os.mkfifo(folder / "pipe.mp4")
    shutil.copy(CASES / "over_under_v2.mp4", folder / f"{'L' * 245}.mp4")
    shutil.copy(CASES / "over_under_v2.mp4", folder / os.fsdecode(b"caf\xe9.mp4"))
    (folder / "again").symlink_to(folder / "day0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed") / "source"
    make_folder(folder, tmp_path_factory.mktemp("made"))
    return folder


def test_prepare(folder: Path, tmp_path: Path) -> None:
    done = commands.run(*commands.module("prepare"), folder, tmp_path / "data", "--detector", "none")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = rows(tmp_path / "data")
    states = {name: row["state"] for name, row in found.items()}
    assert {name: state for name, state in states.items() if "good" in name} == {
        f"day{number % 3}__good{number:02d}": "ok" for number in range(GOOD)
    }
    odd = {name: state for name, state in states.items() if "good" not in name}
    renamed = {name for name in odd if "~" in name}
    assert len(renamed) == 2
    assert {name: state for name, state in odd.items() if name not in renamed | {"sa3d_permuted_flac"}} == ODD_STATES
    assert {odd[name] for name in renamed} == {"ok"}
    assert odd["sa3d_permuted_flac"] in ("ok", "unreadable")
    for name, row in found.items():
        assert (row["reason"] is None) == (row["state"] == "ok")
        assert row["state"] == "ok" or f"skipped {name} ({row['state']}): {row['reason']}" in done.stderr
        if row["state"] == "ok" and "good" in name:
            assert (row["channel_map"], row["projection"], row["gains"]) == ([0, 1, 2, 3], "erp", "sn3d")
    for file in ("lonely.wav", "old.avi", "pipe.mp4", "again"):
        assert f"passed over {folder / file}: " in done.stderr
    assert "2 clips have names of their own" in done.stderr
    unusable = sum(state != "ok" for state in states.values())
    assert f"{unusable} of {len(states)} clips skipped" in done.stderr


def test_embed(folder: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out.parquet"
    done = commands.run(*commands.module("embed"), run.folder, folder, "--out", out, "--hop", 10)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    embedded = {Path(row["file"]).name for row in pq.read_table(out).to_pylist()}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".md" or path.is_dir() or "again" in path.parts:
            continue
        name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        said = any(name in line for line in done.stderr.splitlines())
        assert said or path.name in embedded or name in embedded, path
    for name in ("garbage.mp4", "empty.mp4"):
        assert f"skipped: {folder / name}" in done.stderr
    assert f"note: {folder / 'five_channels.wav'}: 5 channels" in done.stderr
    assert {"five_channels.mp4", "film.mp4", "silent_film.mp4", "lonely.wav", "old.avi"} <= embedded
