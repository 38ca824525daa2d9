"""Spherical metadata of media files: projection, stereo layout and pose of the video, ambisonic layout of the sound.

Reads Google's Spherical Video V1 (XML) and V2 (st3d, sv3d), Spatial Audio (SA3D) and Apple's vexu in MP4 and MOV, and
the projection elements of Matroska and WebM.
"""

import struct
from dataclasses import dataclass, replace
from math import radians
from pathlib import Path
from typing import Literal

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from .boxes import Box, Boxes

Projection = Literal["equirectangular", "half-equirectangular", "cubemap", "mesh", "fisheye", "rectilinear", "unknown"]
Stereo = Literal["mono", "top-bottom", "left-right", "unknown"]

V1 = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")  # UUID of the box that holds the XML
V1_TAG = "{http://ns.google.com/videos/1.0/spherical/}"
ST3D: dict[int, Stereo] = {0: "mono", 1: "top-bottom", 2: "left-right", 4: "left-right"}
V1_STEREO: dict[str, Stereo] = {"mono": "mono", "top-bottom": "top-bottom", "left-right": "left-right"}
MATROSKA_STEREO: dict[int, Stereo] = {0: "mono", 1: "left-right", 2: "top-bottom", 3: "top-bottom", 11: "left-right"}
MATROSKA_PROJECTION: dict[int, Projection] = {0: "rectilinear", 1: "equirectangular", 2: "cubemap", 3: "mesh"}
APPLE: dict[bytes, Projection] = {
    b"equi": "equirectangular", b"hequ": "half-equirectangular", b"fish": "fisheye", b"rect": "rectilinear",
}  # fmt: skip
MAX_ORDER = 7
WHOLE = 0.01  # pictures cropped along each axis by less than this share of the sphere count as complete


@dataclass(frozen=True)
class Picture:
    """Geometry of the video frames as the file declares it."""

    projection: Projection | None = None  # None: not declared
    stereo: Stereo | None = None  # None: not declared
    yaw: float = 0.0  # radians, like pitch and roll
    pitch: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class SpatialSound:
    """Layout of ambisonic sound as the file declares it."""

    order: int
    channels: list[int]  # ACN number of each decoded channel; head-locked channels have numbers beyond the order
    normalisation: Literal["SN3D", "unknown"]  # SN3D implies ACN order; "unknown" covers other orders too
    head_locked: bool  # whether up to two more channels are stereo that does not rotate with the head


@dataclass(frozen=True)
class Spherical:
    """Spherical metadata of a file."""

    picture: Picture
    sound: SpatialSound | None


def read_spherical(path: Path) -> Spherical:
    """Reads the spherical metadata of a media file.

    Missing metadata counts as not declared. If a box is too short for its fields, all metadata of the file is ignored.

    Args:
        path: Media file.

    Returns:
        The metadata; for Matroska and WebM without sound.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        ebml = file.read(4) == b"\x1a\x45\xdf\xa3"
        boxes = Boxes(file, ebml)
        try:
            return Spherical(_matroska(boxes), None) if ebml else _mp4(boxes)
        except struct.error:  # a box is too short for its fields
            return Spherical(Picture(), None)


def _mp4(boxes: Boxes) -> Spherical:
    """Metadata of an MP4 or MOV file."""
    picture, sound = Picture(), None
    for track in boxes.inside(boxes.whole(), b"moov", b"trak"):
        for table in boxes.inside(track, b"mdia", b"minf", b"stbl", b"stsd"):
            for entry in boxes.children(table, skip=8):
                for skip in (28, 44, 64):  # sizes of an audio sample entry: version 0, QuickTime's versions 1 and 2
                    for box in boxes.inside(entry, b"SA3D", skip=skip):
                        sound = sound or _sa3d(boxes.payload(box))
                picture = _picture(boxes, entry, picture)
        for box in boxes.inside(track, b"uuid"):
            if picture.projection is None and boxes.payload(box, 16) == V1:
                picture = _v1(boxes.payload(box)[16:], picture)
    return Spherical(picture, sound)


def _picture(boxes: Boxes, entry: Box, picture: Picture) -> Picture:
    """Updates a picture with the V2 and Apple boxes of a visual sample entry."""
    for box in boxes.children(entry, skip=78):
        if box.type == b"st3d":
            (mode,) = struct.unpack_from(">4xB", boxes.payload(box))
            picture = replace(picture, stereo=ST3D.get(mode, "unknown"))
        elif box.type == b"sv3d":
            for child in boxes.inside(box, b"proj"):
                picture = _projection(boxes, child, picture)
        elif box.type == b"vexu":
            for child in boxes.inside(box, b"proj", b"prji"):
                picture = replace(picture, projection=APPLE.get(boxes.payload(child)[4:8], "unknown"))
    return picture


def _projection(boxes: Boxes, box: Box, picture: Picture) -> Picture:
    """Updates a picture with the contents of a V2 `proj` box."""
    for child in boxes.children(box):
        if child.type == b"prhd":
            turns = struct.unpack_from(">4x3i", boxes.payload(child))
            yaw, pitch, roll = (radians(turn / 65536) for turn in turns)
            picture = replace(picture, yaw=yaw, pitch=pitch, roll=roll)
        elif child.type == b"equi":
            picture = replace(picture, projection=_equirectangular(boxes.payload(child)[4:]))
        elif child.type == b"cbmp":
            picture = replace(picture, projection="cubemap")
        elif child.type in (b"mshp", b"ytmp"):
            picture = replace(picture, projection="mesh")
    return picture


def _equirectangular(bounds: bytes) -> Projection:
    """Projection of an equirectangular picture from its crop bounds: top, bottom, left, right, as 0.32 fixed point."""
    top, bottom, left, right = (share / 2**32 for share in struct.unpack_from(">4I", bounds))
    return "equirectangular" if max(top + bottom, left + right) < WHOLE else "half-equirectangular"


def _sa3d(payload: bytes) -> SpatialSound | None:
    """Parses an SA3D box; None if it is invalid or not supported."""
    version, kind, order, ordering, normalisation, count = struct.unpack_from(">BBIBBI", payload)
    ambisonic = (order + 1) ** 2
    if version != 0 or kind & 0x7F or order > MAX_ORDER or count < ambisonic or count > ambisonic + 2:
        return None
    numbers = list(struct.unpack_from(f">{count}I", payload, 12))
    if sorted(numbers)[:ambisonic] != list(range(ambisonic)):
        return None
    known = ordering == 0 and normalisation == 0
    return SpatialSound(order, numbers, "SN3D" if known else "unknown", count > ambisonic)


def _v1(xml: bytes, picture: Picture) -> Picture:
    """Updates a picture with V1 metadata; returns it unchanged if the XML is invalid."""
    try:
        root = fromstring(xml.rstrip(b"\0"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return picture
    said = {child.tag.removeprefix(V1_TAG): (child.text or "").strip().lower() for child in root}
    if said.get("Spherical") != "true":
        return picture
    projection: Projection = "equirectangular" if said.get("ProjectionType") == "equirectangular" else "unknown"
    if projection == "equirectangular" and _is_cropped(said):
        projection = "half-equirectangular"
    return replace(picture, projection=projection, stereo=V1_STEREO.get(said.get("StereoMode", "mono"), "unknown"))


def _is_cropped(said: dict[str, str]) -> bool:
    """Whether V1 metadata declares a picture that covers only a part of the sphere."""
    for axis in ("Width", "Height"):
        part, whole = (said.get(f"{name}{axis}Pixels", "") for name in ("CroppedAreaImage", "FullPano"))
        if part.isdecimal() and whole.isdecimal() and int(part[:9]) < (1 - WHOLE) * int(whole[:9]):
            return True
    return False


def _matroska(boxes: Boxes) -> Picture:
    """Geometry declared by a Matroska or WebM file."""
    segment, tracks, entry, video, projection = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0", b"\x76\x70"
    picture = Picture()
    for box in boxes.inside(boxes.whole(), segment, tracks, entry, video):
        for child in boxes.children(box):
            if child.type == b"\x53\xb8":
                mode = int.from_bytes(boxes.payload(child, 8))
                picture = replace(picture, stereo=MATROSKA_STEREO.get(mode, "unknown"))
            elif child.type == projection:
                picture = _matroska_projection(boxes, child, picture)
    return picture


def _matroska_projection(boxes: Boxes, box: Box, picture: Picture) -> Picture:
    """Updates a picture with a Matroska Projection element."""
    held = {child.type: boxes.payload(child) for child in boxes.children(box)}
    kind = int.from_bytes(held.get(b"\x76\x71", b"")[:8])
    projection = MATROSKA_PROJECTION.get(kind, "unknown")
    private = held.get(b"\x76\x72", b"")[4:]
    if projection == "equirectangular" and len(private) >= 16:
        projection = _equirectangular(private)
    yaw, pitch, roll = (_float(held.get(name, b"")) for name in (b"\x76\x73", b"\x76\x74", b"\x76\x75"))
    return replace(picture, projection=projection, yaw=radians(yaw), pitch=radians(pitch), roll=radians(roll))


def _float(payload: bytes) -> float:
    """Angle in degrees from an EBML float; 0 if it is invalid or beyond ±360."""
    value = struct.unpack(">f" if len(payload) == 4 else ">d", payload)[0] if len(payload) in (4, 8) else 0.0
    return float(value) if abs(value) <= 360 else 0.0
