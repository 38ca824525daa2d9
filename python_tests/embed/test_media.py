"""A file's kind is determined by its content, not by its suffix."""

from pathlib import Path

import pytest
from helpers.media import write_sound, write_video

from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.errors import UserError


@pytest.mark.parametrize("name", ["a.mp4", "a.sound", "a"])
def test_sound_with_any_suffix(tmp_path: Path, name: str) -> None:
    path = write_sound(tmp_path / "a.wav", 1.5, 4).rename(tmp_path / name)
    media = MediaReader(describe(path, path))
    assert media.modalities == ["audio"]
    assert media.sound.seconds == 1.5
    assert media.is_directional("audio")


@pytest.mark.parametrize("name", ["a.avi", "a.film", "a"])
def test_video_with_any_suffix(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / "a.mp4", 1, 64, 32, sphere=True).rename(tmp_path / name)
    media = MediaReader(describe(path, path))
    assert media.modalities == ["video"]
    assert media.video.seconds == 1
    assert media.is_directional("video")


def test_neither_video_nor_sound(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(UserError, match=r"a\.mp4: not a readable media file; expected WAV, "):
        describe(tmp_path / "a.mp4", tmp_path / "a.mp4")
