"""Files stay open for the next read, up to a limit; cover images are not treated as video."""

import io
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import soundfile
from helpers.tracks import video_track
from PIL import Image

from avsa_fast.data import container
from avsa_fast.errors import UserError

HALVES = [Fraction(i, 2) for i in range(3)]


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_open_files", OrderedDict())


def opened(path: Path, kind: str) -> list[str]:
    """Opens a file as a reader does; returns the names of the files that stay open, least recently used first."""
    with container.open_stream(path, kind, 0) as (_, stream):
        assert stream.type == {"video": "video", "sound": "audio"}[kind]
    return [Path(key[0]).name for key in container._open_files]


def test_pixel_limit_closes_least_recently_used_videos(
    write_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound files do not count towards the limit on pixels; they are closed only when they are least recently used."""
    monkeypatch.setattr(container, "MAX_OPEN_PIXELS", 2 * 128 * 64)
    videos = [write_video(HALVES, name=f"{i}.mp4") for i in range(4)]
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 4)), 24000)
    opened(tmp_path / "a.wav", "sound")
    for path in videos[:2]:
        opened(path, "video")
    assert opened(videos[0], "video") == ["a.wav", "1.mp4", "0.mp4"]
    assert opened(videos[2], "video") == ["0.mp4", "2.mp4"]
    assert opened(tmp_path / "a.wav", "sound") == ["0.mp4", "2.mp4", "a.wav"]
    assert opened(videos[3], "video") == ["2.mp4", "a.wav", "3.mp4"]


def test_file_limit_closes_least_recently_used_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_OPEN", 2)
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros((100, 4)), 24000)
    assert [opened(tmp_path / f"{name}.wav", "sound") for name in "abca"][2:] == [
        ["b.wav", "c.wav"],
        ["c.wav", "a.wav"],
    ]


def test_threads_do_not_share_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread has exclusive use of a container, even for the same file; the limit holds under concurrent use."""
    monkeypatch.setattr(container, "MAX_OPEN", 3)
    paths = [tmp_path / f"{i}.wav" for i in range(6)]
    for path in paths:
        soundfile.write(path, np.zeros((100, 4)), 24000)
    used: set[int] = set()

    def read(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, len(paths), 100):
            with container.open_stream(paths[number], "sound", 0) as (media, _):
                assert id(media) not in used
                used.add(id(media))
                sleep(0)
                used.remove(id(media))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read, range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert len(container._open_files) <= 3


def test_cover_image_is_not_a_video(tmp_path: Path) -> None:
    path, cover = tmp_path / "a.flac", io.BytesIO()
    soundfile.write(path, np.zeros((24000, 4)), 24000)
    Image.new("RGB", (64, 32)).save(cover, "png")
    content, mime = cover.getvalue(), b"image/png"
    block = struct.pack(">2I", 3, len(mime)) + mime + struct.pack(">6I", 0, 64, 32, 24, 0, len(content)) + content
    data, after = path.read_bytes(), 4 + 4 + 34  # after "fLaC" and the STREAMINFO block
    path.write_bytes(data[:after] + struct.pack(">I", 6 << 24 | len(block)) + block + data[after:])
    assert opened(path, "sound") == ["a.flac"]
    with pytest.raises(UserError, match=r"a\.flac: no video in this file"):
        video_track(path)
