"""Marked files are read as 360° video with ambisonic sound, by FFmpeg and by `describe`, and play as before."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideData

from avsa_fast.data.describe import describe
from avsa_fast.data.encode_spherical import mark_spherical
from avsa_fast.data.encode_video import write_video
from avsa_fast.data.spherical_metadata import VideoGeometry, read_spherical_metadata

RATE = 48000


def write(path: Path) -> Path:
    """Writes noise in video and sound with four channels."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=16)
        video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="4.0")
        for _ in range(16):
            picture = rng.integers(0, 256, (64, 128, 3)).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        frame = av.AudioFrame.from_ndarray(rng.normal(0, 0.1, (4, RATE)).astype(np.float32), "fltp", "4.0")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def decoded(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(**{kind: 0})]


def test_marked_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    before = decoded(path, "video"), decoded(path, "audio")
    assert describe(path, path).layout.evidence == "4 channels, assumed AmbiX"
    mark_spherical(path)
    found = describe(path, path)
    assert (found.projection, found.geometry) == ("erp", VideoGeometry("equirectangular", "mono"))
    assert (found.layout.channel_map, found.layout.gains, found.layout.evidence) == ((0, 1, 2, 3), "sn3d", "SA3D")
    assert (decoded(path, "video"), decoded(path, "audio")) == before
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    spherical = frame.side_data.get(SideData.SPHERICAL)
    assert spherical is not None
    projection, yaw, pitch, roll = np.frombuffer(bytes(spherical), np.int32)[:4]
    assert (projection, yaw, pitch, roll) == (0, 0, 0, 0)  # AV_SPHERICAL_EQUIRECTANGULAR, without rotation


def test_version_1_alone(tmp_path: Path) -> None:
    """Players that know only the older metadata."""
    path = write(tmp_path / "a.mp4")
    mark_spherical(path)
    path.write_bytes(path.read_bytes().replace(b"sv3d", b"free").replace(b"st3d", b"free"))
    assert read_spherical_metadata(path).video == VideoGeometry("equirectangular", "mono")


def test_only_files_with_the_index_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, [np.zeros((32, 64, 3), np.uint8)])
    content = path.read_bytes()
    path.write_bytes(content + b"\0\0\0\x08free")
    with pytest.raises(ValueError, match="does not end with the box moov"):
        mark_spherical(path)
    assert path.read_bytes() == content + b"\0\0\0\x08free"
