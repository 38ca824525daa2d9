"""python -m avsa_fast.localise: the camera follows what sounds, files are as players expect, and work resumes."""

import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from helpers import commands
from helpers.commands import invoke
from helpers.localised import Clip, make_clip
from helpers.media import write_sound, write_video

from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.spherical_metadata import SphericalMetadata, read_spherical_metadata
from avsa_fast.localise import files, render, segments
from avsa_fast.localise.cli import main
from avsa_fast.maps import intensity_map
from avsa_fast.maps.grid import angular_distance, peak_direction
from avsa_fast.run import Run

SHARE = 0.9  # of the time in which the object must be in the middle third


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def is_centred(frame: np.ndarray) -> bool:
    """Whether the magenta disc is visible and its centre is in the middle third of a frame."""
    red, green, blue = frame[..., 0].astype(int), frame[..., 1].astype(int), frame[..., 2].astype(int)
    rows, columns = np.nonzero((red > 150) & (blue > 150) & (green < 90))
    height, width = frame.shape[:2]
    return len(rows) > 100 and abs(rows.mean() / height - 0.5) < 1 / 6 and abs(columns.mean() / width - 0.5) < 1 / 6


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_camera_keeps_the_sounding_object_in_the_middle(run: Run, clip: Clip, out: Path) -> None:
    """It follows the magenta disc across the seam, and its beam is that disc's sound."""
    main(str(run.folder), clip.video, out, map="energy", crop=True)
    pictures = frames(out)
    assert len(pictures) == 64  # 4 s at 16 frames per second
    assert pictures.shape[1:3] == render.CAMERA_SIZE
    assert np.mean([is_centred(picture) for picture in pictures]) >= SHARE
    assert read_spherical_metadata(out) == SphericalMetadata(codecs={1: b"avc1", 2: b"mp4a"})
    found = describe(None, out)
    assert found.sound is not None
    assert found.sound.channels == 1
    dry = MediaReader(describe(None, clip.video.parents[1] / "audio" / "disc-0.flac")).scene(2.0, 3.0)[0]
    beam = MediaReader(found).scene(2.0, 3.0)[0]
    assert torch.corrcoef(torch.stack([dry, beam]))[0, 1] > 0.95  # W is the disc's signal with little noise
    assert beam.square().mean().sqrt() / dry.square().mean().sqrt() == pytest.approx(1, abs=0.1)  # front gain 1


def test_energy_map_is_over_what_sounds(run: Run, clip: Clip, out: Path) -> None:
    """The output is a 360° video with ambisonic sound; the map brightens the sounding disc alone."""
    main(str(run.folder), clip.video, out, map="energy")
    found = describe(out, out)
    assert (found.projection, found.geometry.projection, found.geometry.stereo) == ("erp", "equirectangular", "mono")
    assert (found.layout.channel_map, found.layout.gains, found.layout.evidence) == ((0, 1, 2, 3), "sn3d", "SA3D")
    reader = MediaReader(found)
    heard = MediaReader(describe(None, clip.video.parents[1] / "audio" / "disc-0.flac"))
    for time in (1.0, 3.0):
        truth = clip.azimuth_elevation(np.array([time]))[0]
        peak = peak_direction(intensity_map(reader.scene(time), 24000))
        assert angular_distance(torch.tensor(peak), torch.from_numpy(truth).float()) < 6  # cells of 4 degrees
        before, after = heard.scene(time), reader.scene(time)
        for channel in range(4):  # of white noise, the hardest to encode
            assert torch.corrcoef(torch.stack([before[channel], after[channel]]))[0, 1] > 0.97
    changed = np.abs(frames(out).astype(int) - frames(clip.video).astype(int)).mean(axis=3)
    height, width = changed.shape[1:]
    for time in (1.25, 3.25):
        amounts = []
        for disc in range(4):
            azimuth, elevation = clip.azimuth_elevation(np.array([time]), disc)[0]
            row, column = (0.5 - elevation / np.pi) * height, (0.5 - azimuth / (2 * np.pi)) * width
            around = changed[round(time * 16), int(row) - 2 : int(row) + 3, int(column) - 2 : int(column) + 3]
            amounts.append(around.mean())
        assert amounts[0] > 30
        assert max(amounts[1:]) < 10


def test_table(run: Run, clip: Clip, out: Path) -> None:
    main(str(run.folder), clip.video, out, map="energy")
    table = rows(out.with_suffix(".parquet"))
    times = sorted({row["time"] for row in table})
    assert times == [0.25 + 0.5 * number for number in range(8)]
    for time in times:
        now = {row["object"]: row for row in table if row["time"] == time}
        assert list(now) == [None, "disc 0", "disc 1", "disc 2", "disc 3"]
        assert max(list(now)[1:], key=lambda name: now[name]["score"]) == "disc 0"
        truth = torch.from_numpy(clip.azimuth_elevation(np.array([time]))[0]).float()
        for row, azimuth in ((now[None], "azimuth"), (now["disc 2"], "peak_azimuth"), (now["disc 0"], "azimuth")):
            place = torch.tensor([row[azimuth], row[azimuth.replace("azimuth", "elevation")]])
            assert angular_distance(place, truth) < 6
        assert now[None]["score"] == pytest.approx(1)


def interrupt(monkeypatch: pytest.MonkeyPatch, when: int) -> None:
    """Interrupts the command at the end of a segment, before it is complete."""
    count = 0

    def failing(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == when:
            raise KeyboardInterrupt
        segments.write_segment(*arguments)

    monkeypatch.setattr(files, "write_segment", failing)


@pytest.mark.parametrize("crop", [False, True])
def test_resumed_result_is_the_same(
    run: Run, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, crop: bool
) -> None:
    monkeypatch.setattr(render, "SECONDS", 1.0)
    monkeypatch.setattr(render, "CAMERA_SIZE", (90, 160))  # which is quick
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    main(str(run.folder), clip.video, whole, map="energy", crop=crop)
    interrupt(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        main(str(run.folder), clip.video, parts, map="energy", crop=crop)
    folder = tmp_path / "parts.mp4.parts"
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["00000000", "00000001"]
    assert not parts.exists()
    before = (folder / "00000001" / "video.mp4").stat().st_mtime_ns
    monkeypatch.setattr(files, "write_segment", lambda *arguments: segments.write_segment(*arguments))
    kept = []
    monkeypatch.setattr(
        files, "assemble",
        lambda *arguments, **options: (
            kept.append((folder / "00000001" / "video.mp4").stat().st_mtime_ns),
            assemble(*arguments, **options),
        ),
    )  # fmt: skip
    main(str(run.folder), clip.video, parts, map="energy", crop=crop)
    assert kept == [before]
    assert parts.read_bytes() == whole.read_bytes()
    assert rows(parts.with_suffix(".parquet")) == rows(whole.with_suffix(".parquet"))
    assert {path.name for path in tmp_path.iterdir()} == {"whole.mp4", "whole.parquet", "parts.mp4", "parts.parquet"}


assemble = files.assemble


def test_embeddings_and_no_objects(run: Run, clip: Clip, out: Path, tmp_path: Path) -> None:
    """With an untrained run: scores of all objects; without detections, crops around the horizon take their place."""
    main(str(run.folder), clip.video, out, rate=1.0)
    table = rows(out.with_suffix(".parquet"))
    assert len(table) == 4 * 5
    assert all(-1 <= row["score"] <= 1 for row in table)
    bare = tmp_path / "bare.mp4"
    shutil.copy(clip.video, bare)
    shutil.copy(clip.video.parents[1] / "audio" / "disc-0.flac", bare.with_suffix(".flac"))
    main(str(run.folder), bare, tmp_path / "other.mp4", rate=1.0, detector="none")
    assert [row["object"] for row in rows(tmp_path / "other.parquet")] == [None] * 4


def test_errors_are_one_line(run: Run, clip: Clip, tmp_path: Path) -> None:
    flat, stereo = tmp_path / "flat.mp4", tmp_path / "stereo.mp4"
    write_video(flat, 1, 64, 48)
    write_sound(tmp_path / "flat.flac", 1, 4)
    shutil.copy(clip.video, stereo)
    write_sound(tmp_path / "stereo.flac", 4, 2)
    shutil.copy(clip.video, tmp_path / "mute.mp4")
    (tmp_path / "there.mp4").touch()
    (tmp_path / "table.parquet").touch()
    out = tmp_path / "o.mp4"
    for words, message in (
        ((run.folder, tmp_path / "none.mp4", "--out", out), f"{tmp_path / 'none.mp4'}: no such file"),
        ((run.folder, flat, "--out", out), f"{flat}: not a 360° video: "),
        ((run.folder, stereo, "--out", out), f"{tmp_path / 'stereo.flac'}: 2-channel sound has no direction in it"),
        ((run.folder, tmp_path / "mute.mp4", "--out", out), f"{tmp_path / 'mute.mp4'}: no sound in it or beside it"),
        ((run.folder, clip.video, "--out", tmp_path / "o.mkv"), f"--out {tmp_path / 'o.mkv'}: must end in .mp4"),
        ((run.folder, clip.video, "--out", tmp_path / "there.mp4"), f"{tmp_path / 'there.mp4'} exists already"),
        ((run.folder, clip.video, "--out", tmp_path / "table.mp4"), f"{tmp_path / 'table.parquet'} exists already"),
        ((tmp_path, clip.video, "--out", out), f"{tmp_path}: not the folder of a run"),
        ((run.folder, clip.video, "--out", out, "--rate", "0"), "--rate 0.0: must be within 0.1 and 30"),
    ):
        done = invoke(main, "localise", *words)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("localise: ")
        assert message in line
    assert not out.exists()


def test_other_options_are_refused(run: Run, clip: Clip, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        main(str(run.folder), clip.video, out, map="energy")
    done = invoke(main, "localise", run.folder, clip.video, "--out", out, "--map", "energy", "--rate", 1)
    assert done.returncode == 2
    assert f"{out}.parts was created with other files or options" in done.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(run: Run, tmp_path: Path) -> None:
    """Peaks of the command's memory for 20 s and for 5 minutes.

    A small process starts the command and reads its peak: the peak of a process that has forked counts for its child.
    """
    measure = "import resource as r, subprocess as s, sys; s.run(sys.argv[1:], check=True); "
    measure += "print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss)"
    peaks = []
    for seconds in (20.0, 300.0):
        clip = make_clip(tmp_path / f"{seconds:g}", seconds, height=64)
        line = (*commands.module("localise"), run.folder, clip.video, "--out", tmp_path / f"{seconds:g}.mp4")
        done = commands.run(sys.executable, "-c", measure, *line, "--map", "energy", check=True)
        peaks.append(int(done.stdout.splitlines()[-1]))
    print(f"{peaks[0]} kB for 20 s, {peaks[1]} kB for 5 minutes")
    assert peaks[1] < peaks[0] + 60_000
