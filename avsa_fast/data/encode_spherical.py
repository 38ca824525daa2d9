"""Marking of MP4 files as 360° video with ambisonic sound: Google's Spherical Video V1 and V2, and Spatial Audio."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from .spherical_metadata import V1, V1_TAG

CONTAINERS = (b"mdia", b"minf", b"stbl")
SPHERICAL = (
    '<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    f'xmlns:GSpherical="{V1_TAG.strip("{}")}"><GSpherical:Spherical>true</GSpherical:Spherical>'
    "<GSpherical:Stitched>true</GSpherical:Stitched><GSpherical:StitchingSoftware>avsa_fast"
    "</GSpherical:StitchingSoftware><GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"
    "</rdf:SphericalVideo>"
)


def mark_spherical(path: Path) -> None:
    """Declares that a file's video is an equirectangular one of the whole sphere, and its sound W, Y, Z, X in SN3D.

    Args:
        path: MP4 file as FFmpeg writes it, with the box `moov` at its end, which alone is rewritten.

    Raises:
        OSError: It cannot be read or written.
        ValueError: The file's last box is not `moov`.
    """
    with path.open("r+b") as file:
        begin, size = _last_box(file)
        file.seek(begin)
        header, payload = file.read(8), file.read(size - 8)
        if header[4:] != b"moov" or len(payload) != size - 8:
            raise ValueError(f"{path}: does not end with the box moov")
        tracks = [box("trak", _track(content)) if name == b"trak" else raw for name, content, raw in _boxes(payload)]
        file.seek(begin)
        file.write(box("moov", *tracks))
        file.truncate()


def box(name: str, *content: bytes) -> bytes:
    """Returns a box of the ISO base media format.

    Args:
        name: Type of the box.
        content: Parts of its content.
    """
    payload = b"".join(content)
    return struct.pack(">I", 8 + len(payload)) + name.encode("latin-1") + payload


def _last_box(file: BinaryIO) -> tuple[int, int]:
    """Offset and size of a file's last box."""
    end, offset = file.seek(0, 2), 0
    while True:
        file.seek(offset)
        header = file.read(16)
        (size,) = struct.unpack_from(">I", header)
        if size == 1:
            (size,) = struct.unpack_from(">Q", header, 8)
        if size < 8 or offset + size >= end:
            return offset, size
        offset += size


def _boxes(content: bytes, begin: int = 0) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yields type, content and whole of each box in the content of another one."""
    while begin < len(content):
        (size,) = struct.unpack_from(">I", content, begin)
        yield content[begin + 4 : begin + 8], content[begin + 8 : begin + size], content[begin : begin + size]
        begin += size


def _track(content: bytes) -> bytes:
    """Content of a track with its declarations."""
    is_video = any(part[8:12] == b"vide" for part in _find(content, (b"mdia", b"hdlr")))
    declared = _inside(content, _video_entry if is_video else _audio_entry)
    return declared + box("uuid", V1, SPHERICAL.encode()) if is_video else declared


def _find(content: bytes, path: tuple[bytes, ...]) -> Iterator[bytes]:
    """Yields the contents of the boxes at a path."""
    for name, part, _ in _boxes(content):
        if name == path[0]:
            yield from _find(part, path[1:]) if len(path) > 1 else (part,)


def _inside(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Content of a box in which the contents of all sample entries are changed."""
    parts = []
    for name, part, raw in _boxes(content):
        if name in CONTAINERS:
            parts.append(box(name.decode("latin-1"), _inside(part, change)))
        elif name == b"stsd":
            entries = [box(entry.decode("latin-1"), change(inner)) for entry, inner, _ in _boxes(part, 8)]
            parts.append(box("stsd", part[:8], *entries))
        else:
            parts.append(raw)
    return b"".join(parts)


def _video_entry(content: bytes) -> bytes:
    """Content of a visual sample entry that declares a monoscopic equirectangular projection."""
    head = box("svhd", bytes(4), b"avsa_fast\0")
    projection = box("proj", box("prhd", bytes(4 + 12)), box("equi", bytes(4 + 16)))
    return content + box("st3d", bytes(4 + 1)) + box("sv3d", head, projection)


def _audio_entry(content: bytes) -> bytes:
    """Content of an audio sample entry that declares first-order ambisonics (ACN, SN3D)."""
    return content + box("SA3D", struct.pack(">BBIBBI4I", 0, 0, 1, 0, 0, 4, 0, 1, 2, 3))
