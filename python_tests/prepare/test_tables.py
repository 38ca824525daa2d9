import shutil
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from avsa_fast.data.clips import read_index
from avsa_fast.data.tables import DETECTIONS, INDEX, read_table
from avsa_fast.detect.yolo import Box
from avsa_fast.errors import UserError
from avsa_fast.prepare import prepare_folder


class Brightness:
    """A detector of one object in every bright frame, whose elevation tells the frame's brightness."""

    def detect(self, frames: torch.Tensor) -> list[list[Box]]:
        levels = [float(frame.float().mean()) / 255 for frame in frames]
        return [[Box(0.5, level, 0.1, 0.2, "light", 0.75)] if level > 0.2 else [] for level in levels]


def no_detector() -> Brightness:
    raise AssertionError("makes a detector")


@pytest.fixture
def add_clip(tmp_path: Path) -> Callable[..., Path]:
    """Adds a clip to a dataset folder: 2 s that brighten from black to white, and noise in some channels."""

    def add(name: str, channels: int = 4) -> Path:
        data = tmp_path / "data"
        for folder in ("video", "audio"):
            (data / folder).mkdir(parents=True, exist_ok=True)
        with av.open(str(data / "video" / f"{name}.mp4"), "w") as file:
            stream = file.add_stream("libx264", rate=20)
            stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
            for i in range(40):
                image = np.full((32, 64, 3), round(i / 39 * 255), np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 20)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        noise = np.random.default_rng().normal(0, 0.1, (48000, channels))
        soundfile.write(data / "audio" / f"{name}.flac", noise, 24000)
        return data

    return add


def test_both_tables_are_made(add_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        data = add_clip(name)
    prepare_folder(data, detector=Brightness, progress=False)
    first, second = read_table(data / "index.parquet", INDEX)
    assert {first["split"], second["split"]} == {"train", "test"}
    assert {k: first[k] for k in ("name", "fps", "width", "height", "rate", "channels", "channel_map", "state")} == {
        "name": "a",
        "fps": 20,
        "width": 64,
        "height": 32,
        "rate": 24000,
        "channels": 4,
        "channel_map": [0, 1, 2, 3],
        "state": "ok",
    }
    assert first["seconds"] == pytest.approx(2, abs=0.05)
    assert first["spatial_validity"] == pytest.approx(3, abs=0.3)  # four independent noises
    rows = read_table(data / "detections.parquet", DETECTIONS)
    assert [(row["name"], row["time"]) for row in rows] == [(n, t) for n in "ab" for t in (0.5, 1.0, 1.5)]
    assert [row["elevation"] for row in rows[:3]] == pytest.approx([10 / 39, 20 / 39, 30 / 39], abs=0.03)
    assert (rows[0]["class"], rows[0]["azimuth"], rows[0]["score"]) == ("light", 0.5, 0.75)
    assert capsys.readouterr().err == ""


def test_existing_tables_stay_and_need_no_detector(add_clip: Callable[..., Path]) -> None:
    data = add_clip("a")
    prepare_folder(data, detector=Brightness, detect_fps=4, progress=False)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.glob("*.parquet")}
    assert len(before) == 2
    prepare_folder(data, detector=no_detector, progress=False)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.glob("*.parquet")} == before
    (data / "index.parquet").unlink()
    prepare_folder(data, detector=no_detector, progress=False)
    assert (data / "index.parquet").exists()


def test_without_a_detector_there_are_no_detections(add_clip: Callable[..., Path]) -> None:
    data = add_clip("a")
    prepare_folder(data, detector=None, progress=False)
    assert [path.name for path in data.glob("*.parquet")] == ["index.parquet"]


def test_unusable_clips_are_reported_and_counted(
    add_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good", "silent film", "broken", "five"):
        data = add_clip(name, channels=5 if name == "five" else 4)
    (data / "audio" / "silent film.flac").unlink()
    (data / "video" / "broken.mp4").write_bytes(b"no video")
    prepare_folder(data, detector=Brightness)
    states = {row["name"]: row["state"] for row in read_table(data / "index.parquet", INDEX)}
    assert states["good"] == "ok"
    assert states["silent film"].startswith("no sound")
    assert "broken.mp4: not a readable video" in states["broken"]
    assert "--channels" in states["five"]
    assert [clip.name for clip, _ in read_index(data)] == ["good"]
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("skipped ") for line in lines) == 3
    assert "3 of 4 clips skipped" in lines
    assert "reading clips: 4/4" in lines
    assert "detecting objects: 1/1" in lines


def test_a_clip_that_fails_only_while_detecting_is_skipped(
    add_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        data = add_clip(name)
    prepare_folder(data, detector=None, progress=False)
    (data / "video" / "a.mp4").write_bytes(b"damaged since")
    prepare_folder(data, detector=Brightness, progress=False)
    assert {row["name"] for row in read_table(data / "detections.parquet", DETECTIONS)} == {"b"}
    assert "skipped a: " in capsys.readouterr().err


def test_not_one_usable_clip_is_an_error(add_clip: Callable[..., Path]) -> None:
    data = add_clip("five", channels=5)
    with pytest.raises(UserError, match=r"none of its 1 clips is usable; the first: .*five\.flac.*--channels"):
        prepare_folder(data, detector=no_detector, progress=False)
    assert not list(data.glob("*.parquet"))


def test_channels_of_the_user(add_clip: Callable[..., Path]) -> None:
    data = add_clip("five", channels=5)
    prepare_folder(data, detector=None, channels=[4, 1, 2, 3], progress=False)
    assert read_table(data / "index.parquet", INDEX)[0]["channel_map"] == [4, 1, 2, 3]
    prepare_folder(data, detector=None, channels=[4, 1, 2, 3], progress=False)
    with pytest.raises(UserError, match=r"index\.parquet was made with other channels"):
        prepare_folder(data, detector=None, channels=[0, 1, 2, 3], progress=False)


def test_stereo_is_usable_but_has_no_direction(add_clip: Callable[..., Path]) -> None:
    data = add_clip("stereo", channels=2)
    prepare_folder(data, detector=None, progress=False)
    (row,) = read_table(data / "index.parquet", INDEX)
    assert (row["state"], row["channel_map"], row["spatial_validity"]) == ("ok", [], None)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        prepare_folder(tmp_path / "nowhere", detector=no_detector)


def test_the_real_clip(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("ultralytics") is None:  # importing it here would change Pillow
        pytest.skip("ultralytics is not installed")
    monkeypatch.setenv("AVSA_ASSETS", str(assets))
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "cache"))
    for folder, suffix in (("video", "mp4"), ("audio", "m4a")):
        (tmp_path / folder).mkdir()
        shutil.copy(assets / "video" / f"kqAZkf5Odyw-80.{suffix}", tmp_path / folder)
    prepare_folder(tmp_path, detect_fps=0.5, progress=False)
    (row,) = read_table(tmp_path / "index.parquet", INDEX)
    assert (row["state"], row["split"], row["channel_map"]) == ("ok", "train", [2, 1, 4, 0])
    assert row["spatial_validity"] == pytest.approx(0.79, abs=0.005)
    people = [row for row in read_table(tmp_path / "detections.parquet", DETECTIONS) if row["class"] == "person"]
    assert {row["time"] for row in people} == {0.0, 2.0, 4.0, 6.0, 8.0}
