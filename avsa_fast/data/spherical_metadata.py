"""Spherical metadata of media files: projection, stereo layout and pose of the video, ambisonic layout of the sound.

Reads Google's Spherical Video V1 (XML) and V2 (st3d, sv3d), Spatial Audio (SA3D), Apple's vexu and CoreAudio's channel
layouts in MP4 and MOV, the projection elements of Matroska and WebM, and the ambisonic layouts of WAV, Wave64 and CAF.
"""

import struct
from dataclasses import dataclass, field, replace
from math import radians
from pathlib import Path
from typing import Literal

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from .mp4_boxes import BoxReader, ContainerBox
from .sound_layouts import SpatialSound, parse_channel_layout, parse_sa3d, read_caf_layout, read_wave_layout

DeclaredProjection = Literal[
    "equirectangular", "half-equirectangular", "cubemap", "mesh", "fisheye", "rectilinear", "unknown"
]
Stereo = Literal["mono", "top-bottom", "left-right", "unknown"]

V1 = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")  # UUID of the box that holds the XML
V1_TAG = "{http://ns.google.com/videos/1.0/spherical/}"
ST3D: dict[int, Stereo] = {0: "mono", 1: "top-bottom", 2: "left-right", 4: "left-right"}
V1_STEREO: dict[str, Stereo] = {"mono": "mono", "top-bottom": "top-bottom", "left-right": "left-right"}
MATROSKA_STEREO: dict[int, Stereo] = {0: "mono", 1: "left-right", 2: "top-bottom", 3: "top-bottom", 11: "left-right"}
MATROSKA_PROJECTION: dict[int, DeclaredProjection] = {
    0: "rectilinear", 1: "equirectangular", 2: "cubemap", 3: "mesh",
}  # fmt: skip
APPLE: dict[bytes, DeclaredProjection] = {
    b"equi": "equirectangular", b"hequ": "half-equirectangular", b"fish": "fisheye", b"rect": "rectilinear",
}  # fmt: skip
MAX_CROP = 0.01  # share of the sphere by which a complete image may be cropped along each axis


@dataclass(frozen=True)
class VideoGeometry:
    """Geometry of the video frames as the file declares it.

    Attributes:
        projection: Projection; None: not declared.
        stereo: Stereo layout; None: not declared.
        yaw: Pose of the sphere, radians, as are `pitch` and `roll`.
        pitch: See `yaw`.
        roll: See `yaw`.
    """

    projection: DeclaredProjection | None = None
    stereo: Stereo | None = None
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class SphericalMetadata:
    """Spherical metadata of a file.

    Attributes:
        video: Geometry of the video frames.
        sounds: Declared ambisonic layouts, by FFmpeg's id of the stream: the track's id in MP4, 0 in sound files.
        codecs: Types of the sample entries of an MP4 file's tracks, by the track's id.
    """

    video: VideoGeometry = VideoGeometry()
    sounds: dict[int, SpatialSound] = field(default_factory=dict)
    codecs: dict[int, bytes] = field(default_factory=dict)


def read_spherical_metadata(path: Path) -> SphericalMetadata:
    """Reads the spherical metadata of a media file.

    Missing metadata counts as not declared. If a box is too short for its fields, all metadata of the file is ignored.

    Args:
        path: Media file.

    Returns:
        The metadata.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        try:
            if magic == b"\x1a\x45\xdf\xa3":
                return SphericalMetadata(_matroska(BoxReader(file, ebml=True)))
            if magic in (b"RIFF", b"RF64", b"BW64", b"riff"):
                return _sound_file(read_wave_layout(file))
            return _sound_file(read_caf_layout(file)) if magic == b"caff" else _mp4(BoxReader(file))
        except struct.error:  # a box is too short for its fields
            return SphericalMetadata()


def _sound_file(sound: SpatialSound | None) -> SphericalMetadata:
    """Metadata of a file with one sound."""
    return SphericalMetadata(sounds={0: sound} if sound else {})


def _mp4(boxes: BoxReader) -> SphericalMetadata:
    """Metadata of an MP4 or MOV file."""
    video = VideoGeometry()
    sounds: dict[int, SpatialSound] = {}
    codecs: dict[int, bytes] = {}
    for track in boxes.find(boxes.root(), b"moov", b"trak"):
        number = _track_id(boxes, track)
        for table in boxes.find(track, b"mdia", b"minf", b"stbl", b"stsd"):
            for entry in boxes.children(table, skip=8):
                codecs.setdefault(number, entry.type)
                if sound := _entry_sound(boxes, entry):
                    sounds.setdefault(number, sound)
                video = _sample_entry(boxes, entry, video)
        for box in boxes.find(track, b"uuid"):
            if video.projection is None and boxes.payload(box, 16) == V1:
                video = _v1(boxes.payload(box)[16:], video)
    return SphericalMetadata(video, sounds, codecs)


def _track_id(boxes: BoxReader, track: ContainerBox) -> int:
    """Id of a track; 0 if it has none."""
    for header in boxes.find(track, b"tkhd"):
        payload = boxes.payload(header, 32)
        (number,) = struct.unpack_from(">I", payload, 20 if payload[:1] == b"\1" else 12)
        return int(number)
    return 0


def _entry_sound(boxes: BoxReader, entry: ContainerBox) -> SpatialSound | None:
    """Ambisonic layout that an audio sample entry declares."""
    for skip in (28, 44, 64):  # sizes of an audio sample entry: version 0, QuickTime's versions 1 and 2
        for box in boxes.children(entry, skip):
            if box.type == b"SA3D" and (sound := parse_sa3d(boxes.payload(box))):
                return sound
            if box.type == b"chan" and (sound := parse_channel_layout(boxes.payload(box)[4:])):
                return sound
    return None


def _sample_entry(boxes: BoxReader, entry: ContainerBox, video: VideoGeometry) -> VideoGeometry:
    """Updates a geometry with the V2 and Apple boxes of a visual sample entry."""
    for box in boxes.children(entry, skip=78):
        if box.type == b"st3d":
            (mode,) = struct.unpack_from(">4xB", boxes.payload(box))
            video = replace(video, stereo=ST3D.get(mode, "unknown"))
        elif box.type == b"sv3d":
            for child in boxes.find(box, b"proj"):
                video = _projection(boxes, child, video)
        elif box.type == b"vexu":
            for child in boxes.find(box, b"proj", b"prji"):
                video = replace(video, projection=APPLE.get(boxes.payload(child)[4:8], "unknown"))
    return video


def _projection(boxes: BoxReader, box: ContainerBox, video: VideoGeometry) -> VideoGeometry:
    """Updates a geometry with the contents of a V2 `proj` box."""
    for child in boxes.children(box):
        if child.type == b"prhd":
            fixed_point = struct.unpack_from(">4x3i", boxes.payload(child))
            yaw, pitch, roll = (radians(angle / 65536) for angle in fixed_point)
            video = replace(video, yaw=yaw, pitch=pitch, roll=roll)
        elif child.type == b"equi":
            video = replace(video, projection=_equirectangular(boxes.payload(child)[4:]))
        elif child.type == b"cbmp":
            video = replace(video, projection="cubemap")
        elif child.type in (b"mshp", b"ytmp"):
            video = replace(video, projection="mesh")
    return video


def _equirectangular(bounds: bytes) -> DeclaredProjection:
    """Projection of an equirectangular image from its crop bounds: top, bottom, left, right, as 0.32 fixed point."""
    top, bottom, left, right = (bound / 2**32 for bound in struct.unpack_from(">4I", bounds))
    return "equirectangular" if max(top + bottom, left + right) < MAX_CROP else "half-equirectangular"


def _v1(xml: bytes, video: VideoGeometry) -> VideoGeometry:
    """Updates a geometry with V1 metadata; returns it unchanged if the XML is invalid."""
    try:
        root = fromstring(xml.rstrip(b"\0"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return video
    fields = {child.tag.removeprefix(V1_TAG): (child.text or "").strip().lower() for child in root}
    if fields.get("Spherical") != "true":
        return video
    projection: DeclaredProjection = "unknown"
    if fields.get("ProjectionType") == "equirectangular":
        projection = "half-equirectangular" if _is_cropped(fields) else "equirectangular"
    return replace(video, projection=projection, stereo=V1_STEREO.get(fields.get("StereoMode", "mono"), "unknown"))


def _is_cropped(fields: dict[str, str]) -> bool:
    """Whether V1 metadata declares an image that covers only a part of the sphere."""
    for axis in ("Width", "Height"):
        part, whole = (fields.get(f"{name}{axis}Pixels", "") for name in ("CroppedAreaImage", "FullPano"))
        if part.isdecimal() and whole.isdecimal() and int(part[:9]) < (1 - MAX_CROP) * int(whole[:9]):
            return True
    return False


def _matroska(boxes: BoxReader) -> VideoGeometry:
    """Geometry declared by a Matroska or WebM file."""
    segment, tracks, entry, track, projection = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0", b"\x76\x70"
    video = VideoGeometry()
    for element in boxes.find(boxes.root(), segment, tracks, entry, track):
        for child in boxes.children(element):
            if child.type == b"\x53\xb8":
                mode = int.from_bytes(boxes.payload(child, 8))
                video = replace(video, stereo=MATROSKA_STEREO.get(mode, "unknown"))
            elif child.type == projection:
                video = _matroska_projection(boxes, child, video)
    return video


def _matroska_projection(boxes: BoxReader, element: ContainerBox, video: VideoGeometry) -> VideoGeometry:
    """Updates a geometry with a Matroska Projection element."""
    payloads = {child.type: boxes.payload(child) for child in boxes.children(element)}
    kind = int.from_bytes(payloads.get(b"\x76\x71", b"")[:8])
    projection = MATROSKA_PROJECTION.get(kind, "unknown")
    private = payloads.get(b"\x76\x72", b"")[4:]
    if projection == "equirectangular" and len(private) >= 16:
        projection = _equirectangular(private)
    yaw, pitch, roll = (_angle(payloads.get(name, b"")) for name in (b"\x76\x73", b"\x76\x74", b"\x76\x75"))
    return replace(video, projection=projection, yaw=yaw, pitch=pitch, roll=roll)


def _angle(payload: bytes) -> float:
    """Angle in radians from an EBML float in degrees; 0 if it is invalid or beyond ±360°."""
    degrees = struct.unpack(">f" if len(payload) == 4 else ">d", payload)[0] if len(payload) in (4, 8) else 0.0
    return radians(degrees) if abs(degrees) <= 360 else 0.0
