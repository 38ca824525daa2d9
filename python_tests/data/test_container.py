"""Files stay open for the next read, but not too many of them."""

from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsa_fast.data import container

HALVES = [Fraction(i, 2) for i in range(3)]


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_kept", OrderedDict())


def opened(path: Path, kind: str) -> list[str]:
    """Opens a file as a reader does; returns the names of those that stay open, those used longest ago first."""
    with container.open_stream(path, kind) as (media, stream):
        container.start_of(media)
        assert stream.type == kind
    return [Path(key[0]).name for key in container._kept]


def test_large_pictures_close_those_used_longest_ago(
    write_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sounds take no part in the count of pixels: they go only as the oldest."""
    monkeypatch.setattr(container, "MOST_OPEN_PIXELS", 2 * 128 * 64)
    videos = [write_video(HALVES, name=f"{i}.mp4") for i in range(4)]
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 4)), 24000)
    opened(tmp_path / "a.wav", "audio")
    for path in videos[:2]:
        opened(path, "video")
    assert opened(videos[0], "video") == ["a.wav", "1.mp4", "0.mp4"]
    assert opened(videos[2], "video") == ["0.mp4", "2.mp4"]
    assert opened(tmp_path / "a.wav", "audio") == ["0.mp4", "2.mp4", "a.wav"]
    assert opened(videos[3], "video") == ["2.mp4", "a.wav", "3.mp4"]


def test_many_files_close_those_used_longest_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MOST_OPEN", 2)
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros((100, 4)), 24000)
    assert [opened(tmp_path / f"{name}.wav", "audio") for name in "abca"][2:] == [
        ["b.wav", "c.wav"],
        ["c.wav", "a.wav"],
    ]
