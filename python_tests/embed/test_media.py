"""A file's kind is determined by its content, not by its suffix."""

from pathlib import Path

import pytest
from helpers.media import write_sound, write_video

from avsa_fast.embed.media import probe_media
from avsa_fast.errors import UserError


@pytest.mark.parametrize("name", ["a.mp4", "a.sound", "a"])
def test_sound_with_any_suffix(tmp_path: Path, name: str) -> None:
    media = probe_media(write_sound(tmp_path / "a.wav", 1.5, 4).rename(tmp_path / name))
    assert media.modalities == ["audio"]
    assert media.seconds("audio") == 1.5
    assert media.directional("audio")


@pytest.mark.parametrize("name", ["a.avi", "a.film", "a"])
def test_video_with_any_suffix(tmp_path: Path, name: str) -> None:
    media = probe_media(write_video(tmp_path / "a.mp4", 1, 64, 32).rename(tmp_path / name))
    assert media.modalities == ["video"]
    assert media.seconds("video") == 1
    assert media.directional("video")


def test_neither_video_nor_sound(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(UserError, match=r"a\.mp4: not a readable video file; expected WAV, "):
        probe_media(tmp_path / "a.mp4")
