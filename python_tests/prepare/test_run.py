"""prepare end to end, on small clips and with a detector without weights."""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest
from helpers.prepared import rows
from helpers.tracks import sound_track, video_track
from rich.console import Console

from avsa_fast import isolation
from avsa_fast.data.index import Index
from avsa_fast.data.tables import DETECTIONS, STATES, read_table
from avsa_fast.data.video import read_frames
from avsa_fast.errors import UserError, run_command
from avsa_fast.locks import owner_lock
from avsa_fast.prepare import PrepareOptions, prepare, prepare_folder
from avsa_fast.prepare.check import check
from avsa_fast.prepare.cli import main
from avsa_fast.prepare.options import MIN_HEIGHT

BRIGHTNESS = PrepareOptions(detector="helpers.detectors:BrightnessDetector")
WITHOUT_DETECTION = PrepareOptions(detector=None)
AddClip = Callable[..., None]


def contents(data: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.glob("[!.]*.*")}


def test_tree_with_clips_of_every_state(
    tmp_path: Path, add_video: AddClip, add_sound: AddClip, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every state but `costly`, the links, and the behaviour of repeated runs."""
    src, dst = tmp_path / "src", tmp_path / "dst"
    add_video(src / "embedded.mp4", "4.0")
    add_video(src / "sub" / "beside.mkv")
    add_sound(src / "sub" / "beside.flac")
    add_video(src / "mono.mp4", "mono")
    add_video(src / "five.mp4", "5.0")
    add_video(src / "silent film.mp4")
    add_video(src / "long sound.mp4")
    add_sound(src / "long sound.flac", seconds=9)
    (src / "broken.mp4").write_bytes(b"no video")
    (src / "empty.mp4").touch()
    (src / "truncated.mp4").write_bytes((src / "embedded.mp4").read_bytes()[:5000])
    (src / "test.txt").write_text("mono\nnot there\n")
    prepare(src, dst, BRIGHTNESS, workers=2)

    found = rows(dst)
    states = {name: row["state"] for name, row in found.items()}
    assert states == {
        "embedded": "ok", "sub__beside": "ok", "mono": "ok", "five": "ambiguous", "silent film": "incomplete",
        "long sound": "refused", "broken": "unreadable", "empty": "unreadable", "truncated": "unreadable",
    }  # fmt: skip
    assert set(states.values()) < set(STATES)
    assert found["embedded"]["channel_map"] == [0, 1, 2, 3]
    assert found["embedded"]["projection"] == "erp"
    assert found["mono"]["channel_map"] == []
    assert [name for name, row in found.items() if row["split"] == "test"] == ["mono"]
    assert "--channels" in found["five"]["reason"]
    assert "do not belong together" in found["long sound"]["reason"]
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("skipped ") for line in lines) == 6
    assert lines[-1] == "6 of 9 clips skipped"
    assert "preparing clips: 9/9" in lines
    assert sorted(str(p.relative_to(dst)) for p in dst.glob("*/*") if p.parent.name != ".prepare") == [
        "audio/embedded.mp4", "audio/mono.mp4", "audio/sub__beside.flac",
        "video/embedded.mp4", "video/mono.mp4", "video/sub__beside.mkv",
    ]  # fmt: skip
    assert (dst / "test.txt").read_text() == "mono\n"
    assert {clip.name for clip, _ in Index(dst)} == {"embedded", "mono", "sub__beside"}
    detections = [row for row in read_table(dst / "detections.parquet", DETECTIONS) if row["name"] == "embedded"]
    assert [row["time"] for row in detections] == [0.5, 1.0, 1.5]
    assert [row["track"] for row in detections] == [0, 1, 2]  # jumps of 45° do not form a track

    before = contents(dst)
    prepare(src, dst, BRIGHTNESS, workers=2)
    assert contents(dst) == before
    assert "preparing clips" not in capsys.readouterr().err

    add_sound(src / "silent film.flac")
    (src / "embedded.mp4").unlink()
    (dst / "audio" / "mono.mp4").unlink()
    prepare(src, dst, BRIGHTNESS, workers=2)
    assert "preparing clips: 2/2" in capsys.readouterr().err
    states = {name: row["state"] for name, row in rows(dst).items()}
    assert (states["silent film"], "embedded" in states) == ("ok", False)
    assert not (dst / "video" / "embedded.mp4").is_symlink()
    assert (dst / "audio" / "mono.mp4").exists()
    assert contents(dst) != before

    text = StringIO()
    check(dst, Console(file=text, width=100))
    for line in ("8 clips", "ok ", "unreadable", "2 of 3 (67%)", "light", "+15°", "five: "):
        assert line in text.getvalue()


@pytest.mark.slow
def test_tables_are_written_in_place_and_kept(
    add_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        data = add_clip(name)
    prepare_folder(data, WITHOUT_DETECTION, progress=False)
    assert [path.name for path in data.glob("*.parquet")] == ["index.parquet"]
    first = rows(data)["a"]
    assert {row["split"] for row in rows(data).values()} == {"train", "test"}
    assert (first["fps"], first["width"], first["height"], first["rate"], first["channels"]) == (20, 64, 32, 24000, 4)
    assert (first["state"], first["channel_map"], first["offset"]) == ("ok", [0, 1, 2, 3], 0)
    assert first["seconds"] == pytest.approx(2, abs=0.05)
    assert first["spatial_validity"] == pytest.approx(3, abs=0.3)  # four channels of independent noise

    index = (data / "index.parquet").stat().st_mtime_ns
    prepare_folder(data, BRIGHTNESS, progress=False)
    detections = read_table(data / "detections.parquet", DETECTIONS)
    assert [(row["name"], row["time"]) for row in detections] == [(n, t) for n in "ab" for t in (0.5, 1.0, 1.5)]
    levels = [(row["elevation"] / 3.14159 + 0.5) for row in detections[:3]]
    assert levels == pytest.approx([10 / 39, 20 / 39, 30 / 39], abs=0.03)
    assert (detections[0]["class"], detections[0]["azimuth"], detections[0]["score"]) == (
        "light",
        pytest.approx(0, abs=1e-6),
        0.75,
    )
    assert (data / "index.parquet").stat().st_mtime_ns == index

    before = contents(data)
    prepare_folder(data, PrepareOptions(detector="no:module"), progress=False)
    assert contents(data) == before
    (data / "index.parquet").unlink()  # existing detections suffice
    prepare_folder(data, PrepareOptions(detector="no:module"), progress=False)
    assert rows(data)["a"] == first
    assert not any(path.is_symlink() for path in data.glob("*/*"))
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_transcoded_segments(tmp_path: Path, add_video: AddClip) -> None:
    """Segments match the recording at their times, and are reproducible byte by byte."""
    src = tmp_path / "src"
    add_video(src / "video" / "talk.mp4", seconds=13)
    add_video(src / "audio" / "talk.mp4", "4.0", seconds=13)
    (src / "segments.txt").write_text("talk 0,3,99\n")
    (src / "train.txt").write_text("talk\n")
    options = PrepareOptions(detector="helpers.detectors:BrightnessDetector", transcode=True, height=MIN_HEIGHT)
    for dst in (tmp_path / "one", tmp_path / "two"):
        prepare(src, dst, options, workers=1, progress=False)
    assert {name: row["state"] for name, row in rows(dst).items()} == {
        "talk-0": "ok",
        "talk-3": "ok",
        "talk-99": "refused",
    }
    assert (dst / "train.txt").read_text() == "talk-0\ntalk-3\n"
    row = rows(dst)["talk-3"]
    video, sound = video_track(dst / "video" / "talk-3.mp4"), sound_track(dst / "audio" / "talk-3.flac")
    assert (
        (row["fps"], row["rate"], row["channel_map"])
        == (video.fps, sound.rate, [0, 1, 2, 3])
        == (16, 24000, [0, 1, 2, 3])
    )
    assert (row["seconds"], video.seconds, sound.seconds) == pytest.approx((10, 10, 10), abs=0.01)
    for time in (0.1, 4.0, 9.8):
        cut = read_frames(video_track(dst / "video" / "talk-3.mp4"), time, 4)
        whole = read_frames(video_track(src / "video" / "talk.mp4"), 3 + time, 4)
        assert (cut.float().mean((1, 2, 3)) - whole.float().mean((1, 2, 3))).abs().max() < 3
    detections = [row["time"] for row in read_table(dst / "detections.parquet", DETECTIONS) if row["name"] == "talk-3"]
    assert (min(detections), max(detections)) == (0, 9.5)
    for path in (tmp_path / "one").glob("[av]*/*"):
        assert path.read_bytes() == (dst / path.parent.name / path.name).read_bytes()
    for table in ("index.parquet", "detections.parquet"):
        assert (dst / table).read_bytes() == (tmp_path / "one" / table).read_bytes()
    with pytest.raises(UserError, match="cannot be transcoded in place"):
        prepare(src, src, options)


@pytest.mark.slow
def test_crashing_and_stalling_clips_are_reported(
    tmp_path: Path, add_video: AddClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "PROGRESS_TIMEOUT", 4.0)
    for name, level in (("kills", 255), ("stalls", 0), ("good", 128)):
        add_video(tmp_path / "src" / f"{name}.mp4", "4.0", level=level)
    prepare(
        tmp_path / "src",
        tmp_path / "dst",
        PrepareOptions(detector="helpers.detectors:CrashingDetector"),
        workers=3,
        progress=False,
    )
    found = rows(tmp_path / "dst")
    assert {name: row["state"] for name, row in found.items()} == {
        "kills": "unreadable",
        "stalls": "costly",
        "good": "ok",
    }
    assert found["kills"]["reason"].endswith("kills.mp4: crashes the process that reads it (exit code 7)")
    assert found["stalls"]["reason"].endswith("stalls.mp4: no sign of progress for 4 s")


def test_memory_is_limited(tmp_path: Path, add_video: AddClip) -> None:
    add_video(tmp_path / "src" / "a.mp4", "4.0")
    with pytest.raises(UserError, match=r"none of its 1 clips is usable; the first: .*needs more than 1 GB of memory"):
        prepare(
            tmp_path / "src",
            tmp_path / "dst",
            PrepareOptions(detector="helpers.detectors:UnboundedMemoryDetector"),
            progress=False,
        )
    assert rows(tmp_path / "dst")["a"]["state"] == "costly"


@pytest.mark.slow
def test_own_media_are_never_overwritten(tmp_path: Path, add_clip: Callable[..., Path], add_video: AddClip) -> None:
    data = add_clip("a")
    media = {path: path.read_bytes() for path in data.glob("*/*")}
    add_video(tmp_path / "src" / "a.mp4", "4.0")
    with pytest.raises(UserError, match="data: contains media that prepare did not write"):
        prepare(tmp_path / "src", data, WITHOUT_DETECTION, progress=False)
    prepare(data, data, WITHOUT_DETECTION, progress=False)
    with pytest.raises(UserError, match="data: contains media that prepare did not write"):
        prepare(tmp_path / "src", data, WITHOUT_DETECTION, progress=False)
    prepare(tmp_path / "src", tmp_path / "dst", WITHOUT_DETECTION, progress=False)
    prepare(tmp_path / "dst", tmp_path / "dst", WITHOUT_DETECTION, progress=False)  # in-place preparation keeps links
    assert len(list((tmp_path / "dst").glob("[av]*/a.mp4"))) == 2
    assert {path: path.read_bytes() for path in media} == media


def test_concurrent_runs_are_refused(tmp_path: Path, add_video: AddClip) -> None:
    add_video(tmp_path / "src" / "a.mp4", "4.0")
    message = rf"dst: process {os.getpid()} is writing it; wait until it ends"
    with owner_lock(tmp_path / "dst" / ".prepare" / "lock", tmp_path), pytest.raises(UserError, match=message):
        prepare(tmp_path / "src", tmp_path / "dst", WITHOUT_DETECTION)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "dst"], "nowhere: no such folder"),
        (["."], "needs SRC and DST"),
        (["--check", "nowhere"], "nowhere/index.parquet: no such file"),
        (["src", "dst", "--detect-fps", "0"], "--detect-fps 0 must be within"),
        (["src", "dst", "--height", "33"], "--height 33 must be even"),
        (["src", "dst", "--detector", "nowhere.pt"], "nowhere.pt: no such file, here, in AVSA_ASSETS or in"),
        (["src", "dst", "--detector", "helpers.detectors:not_a_detector"], "has no method detect"),
        (["src", "/proc/dst", "--detector", "none"], "/proc/dst: cannot be written"),
    ],
)
def test_user_errors_are_one_line_with_exit_code_2(
    tmp_path: Path,
    add_video: AddClip,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_video(tmp_path / "src" / "a.mp4", "4.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["prepare", *arguments])
    with pytest.raises(SystemExit) as end:
        run_command(main, "prepare")
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_real_clips(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("ultralytics") is None:  # importing it here would change Pillow
        pytest.skip("ultralytics is not installed")
    monkeypatch.setenv("AVSA_ASSETS", str(assets))
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "cache"))
    shutil.copytree(assets / "video", tmp_path / "src")
    prepare(tmp_path / "src", tmp_path / "dst", PrepareOptions(detect_fps=0.3), progress=False)
    found = rows(tmp_path / "dst")
    assert {row["state"] for row in found.values()} == {"ok"}
    clip = found["kqAZkf5Odyw-80"]
    assert (clip["channel_map"], clip["projection"]) == ([2, 1, 4, 0], "erp")
    assert clip["spatial_validity"] == pytest.approx(0.79, abs=0.005)
    assert found["congo_overunder_stereo_audio"]["projection"] == "erp_top"
    mono = found["richoh1_erp_mono_audio"]
    assert (mono["channel_map"], mono["spatial_validity"], mono["channels"]) == ([], None, 1)
    detections = read_table(tmp_path / "dst" / "detections.parquet", DETECTIONS)
    people = [row for row in detections if row["class"] == "person" and row["name"] == "kqAZkf5Odyw-80"]
    assert len({row["time"] for row in people}) == 3
    assert all(sum(row["time"] == time for row in people) >= 3 for time in {row["time"] for row in people})
