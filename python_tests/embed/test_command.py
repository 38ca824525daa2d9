"""python -m avsa_fast.embed: every kind of input file and output, interruption and resuming."""

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from helpers import commands
from helpers.media import write_sound, write_video

from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.samples import Sample
from avsa_fast.embed import store
from avsa_fast.embed.cli import main
from avsa_fast.embed.encode import dense_centres, spread_centres
from avsa_fast.embed.media import flat_crops, read_scenes
from avsa_fast.errors import UserError
from avsa_fast.prepare import PrepareOptions, prepare
from avsa_fast.run import Run

E = 64
CASES = Path(__file__).parents[1] / "media_cases"
MODALITIES = "video", "audio"


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_dataset_folder(run: Run, tmp_path: Path) -> None:
    write_video(tmp_path / "data" / "video" / "a-0.mp4", 1, 64, 32)
    write_sound(tmp_path / "data" / "audio" / "a-0.flac", 1, 4)
    main(run.folder, (str(tmp_path / "data"),), out=str(tmp_path / "out.parquet"))
    windows = [(Path(row["file"]).name, row["modality"]) for row in rows(tmp_path / "out.parquet")]
    assert sorted(windows) == [("a-0.flac", "audio"), ("a-0.mp4", "video")]


def modalities_and_directions(path: Path) -> dict[tuple[str, str], set[int]]:
    """Azimuths, in degrees, of the embeddings of each file and modality."""
    found: dict[tuple[str, str], set[int]] = {}
    for row in rows(path):
        found.setdefault((Path(row["file"]).name, row["modality"]), set()).add(round(np.degrees(row["azimuth"])))
    return found


def test_files_are_read_as_prepare_reads_them(run: Run, tmp_path: Path) -> None:
    """Also over-under video, and a clip with its sound inside, which a prepared dataset links twice."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("over_under_v2.mp4", "sa3d_wxyz.mp4"):
        shutil.copy(CASES / name, source)
    main(run.folder, (str(source),), out=str(tmp_path / "files.parquet"), directions=("0,0", "90,0"))
    prepare(source, tmp_path / "data", PrepareOptions(detector=None), progress=False)
    main(run.folder, (str(tmp_path / "data"),), out=str(tmp_path / "data.parquet"), directions=("0,0", "90,0"))
    views = {(name, modality): {0, 90} for name in ("over_under_v2.mp4", "sa3d_wxyz.mp4") for modality in MODALITIES}
    assert modalities_and_directions(tmp_path / "files.parquet") == views
    assert modalities_and_directions(tmp_path / "data.parquet") == views
    unprepared, prepared = rows(tmp_path / "files.parquet"), rows(tmp_path / "data.parquet")
    for before, after in zip(unprepared, prepared, strict=True):
        assert (before["modality"], before["time"]) == (after["modality"], after["time"])
        np.testing.assert_allclose(before["embedding"], after["embedding"], atol=1e-5)


def test_pairs_are_read_with_the_sound_beside(run: Run, tmp_path: Path) -> None:
    """As in YT-360, where the sound inside the videos is a stereo downmix."""
    for folder in ("video", "audio"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    shutil.copy(CASES / "stereo_first_foa_second.mp4", tmp_path / "data" / "video" / "a.mp4")
    write_sound(tmp_path / "data" / "audio" / "a.flac", 1.5, 4)
    main(run.folder, (str(tmp_path / "data"),), out=str(tmp_path / "out.parquet"), directions=("0,0", "90,0"))
    assert modalities_and_directions(tmp_path / "out.parquet") == {
        ("a.mp4", "video"): {0, 90},
        ("a.flac", "audio"): {0, 90},
    }


def test_a_file_that_crashes_ffmpeg_costs_only_itself(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Opening it ends the process with "double free or corruption" in FFmpeg 8, and gives its sound in others."""
    shutil.copy(CASES / "sa3d_permuted_flac.mp4", tmp_path / "bad.mp4")
    good = write_sound(tmp_path / "good.wav", 1, 4)
    main(run.folder, (str(tmp_path / "bad.mp4"), str(good)), out=str(tmp_path / "out.parquet"))
    found = modalities_and_directions(tmp_path / "out.parquet")
    assert ("good.wav", "audio") in found
    skipped = f"skipped: {tmp_path}/bad.mp4: crashes the process that reads it" in capsys.readouterr().err
    assert skipped != (("bad.mp4", "audio") in found)


def test_notes_are_printed(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = CASES / "stereo_first_foa_second.mp4"
    main(run.folder, (str(video),), out=str(tmp_path / "out.parquet"), modality="audio")
    assert f"note: {video}: audio track 1 (aac, 2 channels) is passed over for track 2" in capsys.readouterr().err


def test_all_kinds_of_files(run: Run, tmp_path: Path) -> None:
    """All in one folder; the two directions apply only to directional sound and 360° video."""
    media = tmp_path / "media"
    (media / "below").mkdir(parents=True)
    write_sound(media / "foa.wav", 3, 4)
    write_sound(media / "stereo.flac", 2.2, 2)
    write_sound(media / "below" / "mono.wav", 0.4, 1)
    write_sound(media / "order4.wav", 1, 25)
    write_video(media / "erp.mp4", 2, 64, 32, sphere=True)
    write_video(media / "flat.mp4", 2, 64, 48)
    write_video(media / "old.avi", 1, 64, 48, codec="mpeg4")
    (media / "broken.mp4").write_bytes(b"not a video")
    (media / "notes.txt").write_text("no media")
    out = tmp_path / "all.parquet"
    main(run.folder, (str(media),), out=str(out), directions=("0,0", "90,10"))
    windows = {}
    for row in rows(out):
        assert len(row["embedding"]) == E
        assert np.isfinite(row["embedding"]).all()
        key = (Path(row["file"]).name, row["modality"])
        windows.setdefault(key, []).append((row["time"], round(np.degrees(row["azimuth"]))))
    assert windows[("foa.wav", "audio")] == [(t, a) for t in (0.5, 1.5, 2.5) for a in (0, 90)]
    assert windows[("stereo.flac", "audio")] == [(0.5, 0), (1.5, 0)]
    assert windows[("mono.wav", "audio")] == [(0.5, 0)]
    assert windows[("order4.wav", "audio")] == [(0.5, 0), (0.5, 90)]
    assert windows[("erp.mp4", "video")] == [(t, a) for t in (0.25, 1.25) for a in (0, 90)]
    assert windows[("flat.mp4", "video")] == [(0.25, 0), (1.25, 0)]
    assert windows[("old.avi", "video")] == [(0.25, 0)]
    assert len(windows) == 7
    assert not out.with_name("all.parquet.parts").exists()


def test_embeddings_match_those_of_the_run(run: Run, tmp_path: Path) -> None:
    """A row matches the run's embedding of that second of sound, rotated to the requested direction."""
    path = write_sound(tmp_path / "foa.wav", 3, 4)
    main(run.folder, (str(path),), out=str(tmp_path / "x.npy"), directions=("-120,20",))
    sound = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T[:, 24000:48000].copy())
    direction = np.radians(np.array([[-120.0, 20.0]], np.float32))
    sample = Sample("", "erp", torch.empty(0), sound, direction, np.ones(1, np.float32), np.zeros(1, bool), None, {})
    embeddings = np.load(tmp_path / "x.npy")
    np.testing.assert_allclose(embeddings[1], run.audio([sample])[0, 0].numpy(), atol=1e-4)
    assert embeddings.shape == (3, E)
    with (tmp_path / "x.csv").open() as file:
        names = list(csv.DictReader(file))
    assert [float(row["time"]) for row in names] == [0.5, 1.5, 2.5]
    assert {row["modality"] for row in names} == {"audio"}


def test_stereo_view_reproduces_stereo_sound(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "stereo.wav", 1, 2)
    left, right = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T.copy())
    (scene,) = read_scenes(MediaReader(describe(None, path)), [0.5], 1.0)
    torch.testing.assert_close((scene[0] + scene[1]) / 2, left)
    torch.testing.assert_close((scene[0] - scene[1]) / 2, right)


def test_flat_frames_are_scaled_and_cropped() -> None:
    frames = torch.zeros(2, 40, 120, 3, dtype=torch.uint8)
    frames[:, :, 40:80] = 255
    crops = flat_crops(frames, 20)
    assert crops.shape == (1, 3, 2, 20, 20)
    torch.testing.assert_close(crops[0, 0, 0, 10, 10].item(), (1 - 0.43216) / 0.22803, atol=1e-4, rtol=0)
    torch.testing.assert_close(crops[..., 4:-4], crops[..., 10:11, 10:11].expand_as(crops[..., 4:-4]))


def test_window_centres() -> None:
    assert dense_centres(3.0, 1.0, 1.0) == [0.5, 1.5, 2.5]
    assert dense_centres(2.999, 1.0, 1.0) == [0.5, 1.5]
    assert dense_centres(0.3, 1.0, 1.0) == [0.5]
    assert spread_centres(10.0, 3, 1.0) == [0.5, 5.0, 9.5]
    assert spread_centres(0.4, 25, 0.5) == [0.2]


def test_paths_from_stdin_and_json_lines(run: Run, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{i}.wav", 1, 1) for i in range(2)]
    line = (*commands.module("embed"), run.folder, "-", "--out", "-")
    done = commands.run(*line, stdin="\n".join(map(str, paths)), check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    assert set(lines[0]) == {"file", "modality", "time", "azimuth", "elevation", "embedding"}


def test_interrupted_command_resumes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Existing parts are not computed again, and the result equals that of an uninterrupted run."""
    monkeypatch.setattr("avsa_fast.embed.files.PART_WINDOWS", 2)
    files = [str(write_sound(tmp_path / f"{i}.wav", 5, 4)) for i in range(2)]
    main(run.folder, tuple(files), out=str(tmp_path / "whole.parquet"))

    added, add = [], store.Parts.add

    def add_three(self, name, *rest) -> None:
        if len(added) == 4:
            raise MemoryError
        add(self, name, *rest)
        added.append(name)

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(store.Parts, "add", add_three)
        main(run.folder, tuple(files), out=str(tmp_path / "x.parquet"))
    assert len(list((tmp_path / "x.parquet.parts").glob("*.parquet"))) == 4
    with pytest.raises(UserError, match="was created with other files or options"):
        main(run.folder, tuple(files), out=str(tmp_path / "x.parquet"), hop=0.5)

    computed = []
    with monkeypatch.context() as patch:
        patch.setattr(store.Parts, "add", lambda self, name, *rest: (computed.append(name), add(self, name, *rest)))
        main(run.folder, tuple(files), out=str(tmp_path / "x.parquet"))
    assert len(computed) == 2
    assert not set(computed) & set(added)
    whole, resumed = rows(tmp_path / "whole.parquet"), rows(tmp_path / "x.parquet")
    assert [row["time"] for row in resumed] == [row["time"] for row in whole] == [0.5, 1.5, 2.5, 3.5, 4.5] * 2
    np.testing.assert_allclose([r["embedding"] for r in resumed], [r["embedding"] for r in whole], atol=1e-5)


def test_errors_of_the_result_end_the_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only errors of a file skip the file."""

    def fail(*_: object) -> None:
        raise UserError("no space left")

    monkeypatch.setattr(store.Parts, "add", fail)
    with pytest.raises(UserError, match="no space left"):
        main(run.folder, (str(write_sound(tmp_path / "a.wav", 1, 4)),), out=str(tmp_path / "out.parquet"))


def test_user_errors(run: Run, tmp_path: Path) -> None:
    path = str(write_sound(tmp_path / "a.wav", 1, 1))
    for options, message in [
        ({"out": "x.csv"}, r"--out x\.csv: must end in \.parquet or \.npy"),
        ({"hop": 0.0}, "--hop 0.0"),
        ({"directions": ("north",)}, "--directions north: expected azimuth,elevation"),
        ({"directions": ("0,100",)}, "within ±90 degrees"),
        ({"files": ()}, "no FILES"),
        ({"files": (str(tmp_path / "nothing"),)}, "no such file or folder"),
        ({"files": (str(tmp_path / "empty"),)}, "no video or sound"),
        ({"modality": "video"}, "no embeddings"),
    ]:
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=message):
            main(run.folder, **({"files": (path,), "out": str(tmp_path / "out.parquet")} | options))
    (tmp_path / "there.npy").touch()
    with pytest.raises(UserError, match="exists already"):
        main(run.folder, (path,), out=str(tmp_path / "there.npy"))


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
def test_command_killed_before_it_removed_the_parts_resumes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    file, out = str(write_sound(tmp_path / "a.wav", 2, 4)), tmp_path / f"out{suffix}"

    def killed(parts: store.Parts) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(store.Parts, "_remove", killed)
        with pytest.raises(MemoryError):
            main(run.folder, (file,), out=str(out))
    before = out.read_bytes()
    with pytest.raises(UserError, match="created with other files or options"):
        main(run.folder, (file,), out=str(out), hop=0.5)
    main(run.folder, (file,), out=str(out))
    assert out.read_bytes() == before
    assert not (tmp_path / f"out{suffix}.parts").exists()
    with pytest.raises(UserError, match="exists already"):
        main(run.folder, (file,), out=str(out))


def test_the_reader_of_json_lines_may_end_first(run: Run, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", 60, 4)
    line = '"$@" | head -n 1; exit ${PIPESTATUS[0]}'
    embed = (*commands.module("embed"), run.folder, path, "--out", "-", "--hop", 0.1)
    done = commands.run("bash", "-c", line, "bash", *embed)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (141, "", 1)
    assert json.loads(done.stdout)["file"] == str(path)


@pytest.mark.slow
def test_memory_for_an_hour_and_resume_after_sigkill(run: Run, tmp_path: Path) -> None:
    def started(path: Path, out: Path) -> commands.Command:
        return commands.Command(*commands.module("embed"), run.folder, path, "--out", out)

    def peak(path: Path, out: Path) -> int:
        """Peak resident memory, in kB."""
        with started(path, out) as command:
            _, status, usage = os.wait4(command.process.pid, 0)
        assert status == 0
        return usage.ru_maxrss

    write_sound(tmp_path / "minute.flac", 60, 4, rate=16000)
    minute = peak(tmp_path / "minute.flac", tmp_path / "minute.parquet")
    write_video(tmp_path / "minute.mp4", 60, 64, 32, still=True)
    picture = peak(tmp_path / "minute.mp4", tmp_path / "picture.parquet")
    with soundfile.SoundFile(tmp_path / "hour.flac", "w", 16000, 4) as file:
        for _ in range(60):
            file.write(np.random.default_rng(0).normal(0, 0.1, (60 * 16000, 4)))
    write_video(tmp_path / "hour.mp4", 3600, 64, 32, still=True)

    out = tmp_path / "hour.parquet"
    parts = tmp_path / "hour.parquet.parts"
    with started(tmp_path / "hour.flac", out) as command:
        while len(list(parts.glob("*.parquet"))) < 10:
            assert command.process.poll() is None
            time.sleep(0.1)
        command.process.send_signal(signal.SIGKILL)
        command.finish()
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert not out.exists()
    resumed = peak(tmp_path / "hour.flac", out)
    assert len(before) >= 10
    assert [row["time"] for row in rows(out)] == [0.5 + i for i in range(3600)]
    long_picture = peak(tmp_path / "hour.mp4", tmp_path / "long.parquet")
    print(f"sound: {minute} kB for a minute, {resumed} for an hour; picture: {picture}, {long_picture}")
    assert resumed < minute + 60_000
    assert long_picture < picture + 60_000
