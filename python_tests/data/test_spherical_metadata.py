"""SphericalMetadata metadata, inserted box by box into real files, and damaged in many ways."""

import struct
from collections.abc import Callable
from fractions import Fraction
from math import radians
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsa_fast.data.mp4_boxes import MAX_BOXES, BoxReader
from avsa_fast.data.sound_layouts import SpatialSound
from avsa_fast.data.spherical_metadata import (
    V1,
    SphericalMetadata,
    VideoGeometry,
    read_spherical_metadata,
)

XML = """<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/"><GSpherical:Spherical>true</GSpherical:Spherical>
 <GSpherical:Stitched>true</GSpherical:Stitched>{}</rdf:SphericalVideo>"""
ERP = "<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"


def box(box_type: bytes, *payload: bytes) -> bytes:
    content = b"".join(payload)
    return struct.pack(">I4s", 8 + len(content), box_type) + content


def full(box_type: bytes, *payload: bytes) -> bytes:
    return box(box_type, bytes(4), *payload)


def sv3d(*projection: bytes) -> bytes:
    return box(b"sv3d", full(b"svhd", b"maker\0"), box(b"proj", *projection))


def equi(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0) -> bytes:
    return full(b"equi", struct.pack(">4I", top, bottom, left, right))


def prhd(yaw: float, pitch: float, roll: float) -> bytes:
    return full(b"prhd", struct.pack(">3i", *(round(x * 65536) for x in (yaw, pitch, roll))))


def sa3d(order: int, channels: list[int], kind: int = 0, normalisation: int = 0) -> bytes:
    return box(
        b"SA3D", struct.pack(f">BBIBBI{len(channels)}I", 0, kind, order, 0, normalisation, len(channels), *channels)
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes an MP4 of a few frames and 4-channel sound, with boxes added to its tracks and sample entries."""

    def write(entry: bytes = b"", track: bytes = b"", sound: bytes = b"", name: str = "a.mp4") -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
            noise = file.add_stream("aac", rate=48000, layout="4.0")
            for i in range(3):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 64, 3), 60 * i, np.uint8), "rgb24")))
            frame = av.AudioFrame.from_ndarray(np.zeros((4, 1024), np.float32), "fltp", "4.0")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            file.mux(noise.encode(frame))
            for each in (stream, noise):
                file.mux(each.encode(None))
        data = bytearray(path.read_bytes())
        if name.endswith("mp4"):
            for box_type, added in ((b"avc1", entry), (b"mp4a", sound)):
                insert(data, [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", box_type], added)
            insert(data, [b"moov", b"trak"], track)
        path.write_bytes(data)
        return path

    return write


def insert(data: bytearray, path: list[bytes], added: bytes) -> None:
    """Appends bytes to a box and enlarges all boxes around it; the moov box is the last in the file."""

    def search(begin: int, end: int, depth: int) -> list[int] | None:
        at = begin
        while at < end:
            size, box_type = struct.unpack_from(">I4s", data, at)
            if box_type == path[depth]:
                inner = at + 8 + (8 if box_type == b"stsd" else 0)
                found = [] if depth + 1 == len(path) else search(inner, at + size, depth + 1)
                if found is not None:
                    return [at, *found]
            at += size
        return None

    starts = search(0, len(data), 0)
    assert starts is not None
    size = struct.unpack_from(">I", data, starts[-1])[0]
    data[starts[-1] + size : starts[-1] + size] = added
    for at in starts:
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(added))


def test_missing_metadata_is_not_declared(write: Callable[..., Path]) -> None:
    assert read_spherical_metadata(write()) == SphericalMetadata(codecs={1: b"avc1", 2: b"mp4a"})
    assert read_spherical_metadata(write(name="a.mkv")) == SphericalMetadata()


@pytest.mark.parametrize(("mode", "stereo"), [(0, "mono"), (1, "top-bottom"), (2, "left-right"), (3, "unknown")])
def test_version_2(write: Callable[..., Path], mode: int, stereo: str) -> None:
    path = write(entry=full(b"st3d", bytes([mode])) + sv3d(prhd(30, -20.5, 10), equi()))
    geometry = read_spherical_metadata(path).video
    assert (geometry.projection, geometry.stereo) == ("equirectangular", stereo)
    assert (geometry.yaw, geometry.pitch, geometry.roll) == pytest.approx([radians(x) for x in (30, -20.5, 10)])
    with av.open(str(path)) as file:  # FFmpeg can still read the file
        assert len(list(file.decode(video=0))) == 3


@pytest.mark.parametrize(
    ("projection", "name"),
    [
        (equi(left=1 << 30, right=1 << 30), "half-equirectangular"),
        (full(b"cbmp", bytes(8)), "cubemap"),
        (full(b"mshp", bytes(20)), "mesh"),
        (full(b"ytmp", bytes(20)), "mesh"),
    ],
)
def test_other_projections(write: Callable[..., Path], projection: bytes, name: str) -> None:
    assert read_spherical_metadata(write(entry=sv3d(projection))).video.projection == name


@pytest.mark.parametrize(
    ("code", "name"), [(b"fish", "fisheye"), (b"hequ", "half-equirectangular"), (b"equi", "equirectangular")]
)
def test_apple(write: Callable[..., Path], code: bytes, name: str) -> None:
    assert (
        read_spherical_metadata(write(entry=box(b"vexu", box(b"proj", full(b"prji", code))))).video.projection == name
    )


def test_version_1(write: Callable[..., Path]) -> None:
    def read(xml: str) -> VideoGeometry:
        return read_spherical_metadata(write(track=box(b"uuid", V1, xml.encode()))).video

    assert read(XML.format(ERP)) == VideoGeometry("equirectangular", "mono")
    over_under = "<GSpherical:StereoMode>top-bottom</GSpherical:StereoMode>"
    assert read(XML.format(ERP + over_under)) == VideoGeometry("equirectangular", "top-bottom")
    cropped = "<GSpherical:CroppedAreaImageWidthPixels>960</GSpherical:CroppedAreaImageWidthPixels>"
    cropped += "<GSpherical:FullPanoWidthPixels>1920</GSpherical:FullPanoWidthPixels>"
    assert read(XML.format(ERP + cropped)).projection == "half-equirectangular"
    assert read(XML.format(ERP.replace("equirectangular", "cubemap"))).projection == "unknown"
    assert read(XML.format(ERP).replace(">true<", ">false<")) == VideoGeometry()


def test_hostile_xml_is_ignored(write: Callable[..., Path]) -> None:
    laughs = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha" * 10}">' for i in range(12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [{laughs}]><x>&a11;</x>'
    outside = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'
    for xml in (bomb, outside, "<a>" * 5000, "", "\0", XML.format(ERP)[:-5]):
        assert read_spherical_metadata(write(track=box(b"uuid", V1, xml.encode()))).video == VideoGeometry()
    unknown_encoding = b'<?xml version="1.0" encoding="klingon"?><x/>'
    assert read_spherical_metadata(write(track=box(b"uuid", V1, unknown_encoding))).video == VideoGeometry()


def test_ambisonic_sound(write: Callable[..., Path]) -> None:
    def read(sound: bytes) -> SpatialSound | None:
        return read_spherical_metadata(write(sound=sound)).sounds.get(2)

    assert read(sa3d(1, [1, 2, 3, 0])) == SpatialSound(1, (1, 2, 3, 0), "sn3d", "SA3D")
    locked = read(sa3d(1, [0, 1, 2, 3, 4, 5], kind=0x80))
    assert locked == SpatialSound(1, (0, 1, 2, 3, 4, 5), "sn3d", "SA3D")
    assert read(sa3d(1, [0, 1, 2, 3], normalisation=1)) == SpatialSound(1, (0, 1, 2, 3), "unknown", "SA3D")
    for broken in (sa3d(1, [0, 1, 2]), sa3d(1, [0, 1, 2, 2]), sa3d(200, [0] * 4), sa3d(1, [0, 1, 2, 3])[:20]):
        assert read(broken) is None


def ebml(box_type: bytes, *payload: bytes) -> bytes:
    content = b"".join(payload)
    return box_type + (len(content) | 1 << 56).to_bytes(8) + content


@pytest.mark.parametrize(("number", "name"), [(0, "rectilinear"), (1, "equirectangular"), (2, "cubemap"), (3, "mesh")])
def test_matroska(tmp_path: Path, number: int, name: str) -> None:
    projection = ebml(
        b"\x76\x70", ebml(b"\x76\x71", bytes([number])), ebml(b"\x76\x73", struct.pack(">f", 90)),
        ebml(b"\x76\x74", struct.pack(">d", -45)), ebml(b"\x76\x75", struct.pack(">f", float("nan"))),
    )  # fmt: skip
    video = ebml(b"\xe0", ebml(b"\x53\xb8", b"\x03"), projection)
    segment = ebml(b"\x18\x53\x80\x67", ebml(b"\xec", bytes(9)), ebml(b"\x16\x54\xae\x6b", ebml(b"\xae", video)))
    (tmp_path / "a.webm").write_bytes(ebml(b"\x1a\x45\xdf\xa3", bytes(5)) + segment)
    want = VideoGeometry(name, "top-bottom", radians(90), radians(-45), 0.0)  # type: ignore[arg-type]
    assert read_spherical_metadata(tmp_path / "a.webm").video == want


def test_real_over_under_video(assets: Path) -> None:
    geometry = read_spherical_metadata(assets / "video" / "congo_overunder_stereo_audio.mp4").video
    assert geometry == VideoGeometry("equirectangular", "top-bottom")


@given(at=st.integers(0, 1 << 16), bytes_=st.binary(min_size=1, max_size=8), cut=st.integers(0, 1 << 16))
def test_damaged_metadata_never_raises(
    tmp_path_factory: pytest.TempPathFactory, at: int, bytes_: bytes, cut: int
) -> None:
    """Random bytes in the moov box and truncation at any point."""
    entry = bytes(78) + full(b"st3d", b"\1") + sv3d(prhd(1, 2, 3), equi())
    table = full(b"stsd", bytes(4), box(b"avc1", entry), box(b"mp4a", bytes(28), sa3d(1, [0, 1, 2, 3])))
    track = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", table))), box(b"uuid", V1, XML.format(ERP).encode()))
    data = bytearray(box(b"moov", track))
    data[at % len(data) : at % len(data) + len(bytes_)] = bytes_
    path = tmp_path_factory.mktemp("damaged") / "a.mp4"
    path.write_bytes(data[: len(data) - cut % len(data) if cut % 2 else len(data)])
    assert isinstance(read_spherical_metadata(path).video, VideoGeometry)


def test_number_of_boxes_is_limited(tmp_path: Path) -> None:
    (tmp_path / "many.mp4").write_bytes(box(b"free") * (2 * MAX_BOXES))
    with (tmp_path / "many.mp4").open("rb") as file:
        boxes = BoxReader(file)
        assert len(boxes.children(boxes.root())) == MAX_BOXES
