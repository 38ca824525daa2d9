"""Layouts of ambisonic sound that containers declare: SA3D, CoreAudio's channel layouts, the WAVE B-format GUIDs."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from os import SEEK_END
from typing import BinaryIO, Literal

from avsa_fast.ambisonics import FUMA_ACN

DeclaredGains = Literal["sn3d", "n3d", "fuma", "unknown"]

MAX_ORDER = 7
MAX_CHUNKS = 1000
# Sub-formats of WAVE_FORMAT_EXTENSIBLE for Furse-Malham B-format: integer and floating-point samples.
B_FORMAT_GUIDS = tuple(bytes.fromhex(f"{kind}0000002107d3118644c8c1ca000000") for kind in ("01", "03"))
# GUIDs of Wave64: its first bytes, and its chunk with the sample format.
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_FORMAT = bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a")
# CoreAudio's layout tags, without the number of channels in their lower half.
TAGS: dict[int, DeclaredGains] = {107: "fuma", 190: "sn3d", 191: "n3d"}
# CoreAudio's labels of single channels: the first label of each set, and the ACN numbers that follow.
LABELS: tuple[tuple[int, DeclaredGains, Sequence[int]], ...] = (
    (200, "fuma", FUMA_ACN[:4]),
    (2 << 16, "unknown", range((MAX_ORDER + 1) ** 2)),  # ACN order; the normalisation is not stated
)


@dataclass(frozen=True)
class SpatialSound:
    """Layout of ambisonic sound as a file declares it.

    Attributes:
        order: Ambisonic order.
        channels: ACN number of each decoded channel; head-locked channels have numbers beyond the order.
        gains: Normalisation; "unknown" covers other channel orders too.
        source: Name of the statement, for messages.
    """

    order: int
    channels: tuple[int, ...]
    gains: DeclaredGains
    source: str


def parse_sa3d(payload: bytes) -> SpatialSound | None:
    """Parses an SA3D box of Google's Spatial Audio RFC.

    Args:
        payload: Contents of the box.

    Returns:
        The layout; None if it is invalid or not supported.

    Raises:
        struct.error: The box is too short.
    """
    version, kind, order, ordering, normalisation, count = struct.unpack_from(">BBIBBI", payload)
    if version != 0 or kind & 0x7F:
        return None
    known = ordering == 0 and normalisation == 0
    numbers = struct.unpack_from(f">{count}I", payload, 12) if count <= (MAX_ORDER + 1) ** 2 + 2 else ()
    return _layout(order, numbers, "sn3d" if known else "unknown", "SA3D")


def parse_channel_layout(payload: bytes) -> SpatialSound | None:
    """Parses CoreAudio's AudioChannelLayout, as in the chunk `chan` of CAF and the atom of this name in QuickTime.

    Args:
        payload: The structure: tag, bitmap, number of descriptions, descriptions of 20 bytes.

    Returns:
        The layout; None if it is not an ambisonic one.

    Raises:
        struct.error: The structure is too short.
    """
    tag, _, count = struct.unpack_from(">3I", payload)
    if tag >> 16 in TAGS:
        gains, channels = TAGS[tag >> 16], tag & 0xFFFF
        order = round(channels**0.5) - 1
        numbers = FUMA_ACN[:channels] if gains == "fuma" else tuple(range(channels))
        return _layout(order, numbers, gains, "CoreAudio channel layout") if (order + 1) ** 2 == channels else None
    if tag or not 4 <= count <= (MAX_ORDER + 1) ** 2 + 2:
        return None
    labels = [struct.unpack_from(">I", payload, 12 + 20 * i)[0] for i in range(count)]
    for first, gains, acn in LABELS:
        if all(first <= label < first + len(acn) for label in labels):
            numbers = tuple(acn[label - first] for label in labels)
            return _layout(round(count**0.5) - 1, numbers, gains, "CoreAudio channel layout")
    return None


def _layout(order: int, numbers: Sequence[int], gains: DeclaredGains, source: str) -> SpatialSound | None:
    """The layout if the channels have all ACN numbers of the order, and at most two more; else None."""
    ambisonic = (order + 1) ** 2
    if order > MAX_ORDER or not ambisonic <= len(numbers) <= ambisonic + 2:
        return None
    if sorted(numbers)[:ambisonic] != list(range(ambisonic)):
        return None
    return SpatialSound(order, tuple(numbers), gains, source)


def read_wave_layout(file: BinaryIO) -> SpatialSound | None:
    """Reads the layout that a WAV or Wave64 file declares by a sub-format for B-format.

    Args:
        file: File, opened for reading.

    Returns:
        The layout: Furse-Malham channels with height; None if there is none.

    Raises:
        struct.error: The file ends inside a header.
    """
    end = file.seek(0, SEEK_END)
    file.seek(0)
    is_w64 = file.read(16) == W64_RIFF
    offset, header, name = (40, 24, W64_FORMAT) if is_w64 else (12, 8, b"fmt ")
    for _ in range(MAX_CHUNKS):
        file.seek(offset)
        content = file.read(header + 40)
        (size,) = struct.unpack_from("<Q" if is_w64 else "<I", content, len(name))
        if content.startswith(name):
            return _wave_format(content[header:])
        offset += (size + 7) // 8 * 8 if is_w64 else header + size + size % 2
        if not size or offset >= end:
            break
    return None


def _wave_format(content: bytes) -> SpatialSound | None:
    """Layout by a WAVEFORMATEXTENSIBLE structure."""
    (channels,) = struct.unpack_from("<H", content, 2)
    order = round(channels**0.5) - 1
    if content[24:40] not in B_FORMAT_GUIDS or not 1 <= order <= 3 or channels != (order + 1) ** 2:
        return None
    return _layout(order, FUMA_ACN[:channels], "fuma", "B-format WAVE sub-format")


def read_caf_layout(file: BinaryIO) -> SpatialSound | None:
    """Reads the layout that a CAF file declares in its chunk `chan`.

    Args:
        file: File, opened for reading.

    Returns:
        The layout; None if there is none.

    Raises:
        struct.error: The file ends inside a header.
    """
    offset, end = 8, file.seek(0, SEEK_END)
    for _ in range(MAX_CHUNKS):
        file.seek(offset)
        header = file.read(12)
        if len(header) < 12:
            break
        (size,) = struct.unpack_from(">q", header, 4)
        if header[:4] == b"chan":
            return parse_channel_layout(file.read(min(size, 4096)) if size >= 0 else b"")
        offset += 12 + size
        if size < 0 or offset >= end:
            break
    return None
