"""Analysis of a clip's sound and pose by prepare."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from math import pi, radians
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.prepared import rows
from rich.console import Console

from avsa_fast.data import describe
from avsa_fast.data.spherical_metadata import SphericalMetadata, VideoGeometry
from avsa_fast.errors import UserError
from avsa_fast.prepare import PrepareOptions, clip, prepare, prepare_folder
from avsa_fast.prepare.check import check
from avsa_fast.prepare.find import Job
from avsa_fast.prepare.options import MIN_HEIGHT

WITHOUT_DETECTION = PrepareOptions(detector=None)
AddClip = Callable[..., None]


def test_sound_analysis(add_clip: Callable[..., Path]) -> None:
    """A plane wave from the left, with silent Z and X, and independent noise in all channels."""
    data = add_clip("noises")
    add_clip("left")
    wave = np.random.default_rng(0).normal(0, 0.1, (48000, 1)) * np.array([1, 1, 0, 0])
    soundfile.write(data / "audio" / "left.flac", wave, 24000)
    prepare_folder(data, WITHOUT_DETECTION, progress=False)
    left, noises = rows(data)["left"], rows(data)["noises"]
    assert (left["silent_channels"], noises["silent_channels"]) == ([2, 3], [])
    arrival = [left[f"arrival_{name}"] for name in ("share", "azimuth", "elevation", "spread")]
    assert arrival == pytest.approx([1, pi / 2, 0, 0], abs=1e-3)
    assert (noises["arrival_share"], noises["arrival_azimuth"]) == (0, None)
    text = StringIO()
    check(data, Console(file=text, width=100))
    for line in ("Z or X silent", "1 of 2 (50%)", "left: no sound in Z (channel 2), X (channel 3)", "100%"):
        assert line in text.getvalue()
    assert "noises: no sound" not in text.getvalue()


def test_user_channels(add_clip: Callable[..., Path]) -> None:
    data = add_clip("five", channels=5)
    prepare(data, data, PrepareOptions(detector=None, channels=(4, 1, 2, 3)), progress=False)
    assert rows(data)["five"]["channel_map"] == [4, 1, 2, 3]
    with pytest.raises(
        UserError, match=r"none of its 1 clips is usable; the first: .*--channels 0 1 2 9 does not name"
    ):
        prepare(data, data, PrepareOptions(detector=None, channels=(0, 1, 2, 9)), progress=False)
    assert rows(data)["five"]["state"] == "ambiguous"


@pytest.mark.slow
@pytest.mark.parametrize("channels", [9, 16])
def test_higher_orders_are_reduced_to_first_order(tmp_path: Path, add_video: AddClip, channels: int) -> None:
    """The same scene in SN3D, N3D and FuMa (declared by --gains) gives the same transcoded sound."""
    order = [1, 3, 2, 0] if channels == 9 else [0, 1, 2, 3]
    scene = np.random.default_rng(0).uniform(-0.2, 0.2, (48000, channels))
    gains = np.sqrt(2 * np.floor(np.sqrt(np.arange(channels))) + 1)
    fuma = scene.copy()
    fuma[:, :4] = scene[:, [0, 3, 1, 2]] * [1 / np.sqrt(2), 1, 1, 1]
    read = {}
    for name, sound in (("sn3d", scene), ("n3d", scene * gains), ("fuma", fuma)):
        add_video(tmp_path / name / "a.mp4")
        soundfile.write(tmp_path / name / "a.wav", sound, 24000, subtype="FLOAT")
        options = PrepareOptions(
            detector=None, transcode=True, height=MIN_HEIGHT, gains=None if name == "sn3d" else name
        )
        prepare(tmp_path / name, tmp_path / "dst" / name, options, progress=False)
        row = rows(tmp_path / "dst" / name)["a"]
        assert (row["state"], row["channels"], row["channel_map"]) == ("ok", 4, [0, 1, 2, 3])
        assert row["spatial_validity"] == pytest.approx(3, abs=0.3)  # independent noise in all channels, in SN3D
        read[name] = soundfile.read(tmp_path / "dst" / name / "audio" / "a.flac")[0]
    for sound in read.values():
        assert np.abs(sound - scene[:, :4]).max() < 1e-6
    prepare(
        tmp_path / "sn3d", tmp_path / "linked", PrepareOptions(detector=None, channels=tuple(order)), progress=False
    )
    row = rows(tmp_path / "linked")["a"]
    assert (row["state"], row["channels"], row["channel_map"]) == ("ok", channels, order)


def test_pose_with_directional_sound_is_ambiguous(
    tmp_path: Path, add_video: AddClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, sound in (("foa", "4.0"), ("mono", "mono")):
        add_video(tmp_path / f"{name}.mp4", sound)
    geometry = VideoGeometry("equirectangular", "mono", yaw=radians(90), roll=radians(-5))
    monkeypatch.setattr(describe, "read_spherical_metadata", lambda path: SphericalMetadata(geometry))

    def prepared(name: str, options: PrepareOptions) -> dict:
        path = tmp_path / f"{name}.mp4"
        return clip.prepare_clip(Job(name, path, path), options, None, tmp_path).row

    refused = prepared("foa", WITHOUT_DETECTION)
    assert refused["state"] == "ambiguous"
    assert "declares a pose (yaw 90°, pitch 0°, roll -5°)" in refused["reason"]
    assert "--ignore-pose" in refused["reason"]
    for row in (prepared("mono", WITHOUT_DETECTION), prepared("foa", PrepareOptions(detector=None, ignore_pose=True))):
        assert (row["state"], row["yaw"], row["roll"]) == ("ok", pytest.approx(radians(90)), pytest.approx(radians(-5)))
    geometry = replace(geometry, yaw=radians(0.1), roll=0.0)
    assert prepared("foa", WITHOUT_DETECTION)["state"] == "ok"
