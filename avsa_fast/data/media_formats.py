"""Media formats: the suffixes of their files, and their detection from a file's first bytes, whatever its suffix.

FFmpeg's own probing lets every demuxer rate the content, so that a tone in a WAV file can be taken for another format.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from os import SEEK_CUR
from pathlib import Path
from typing import BinaryIO

HEADER_BYTES = 64  # bytes to read, enough for every pattern in FORMATS
MAX_BOXES = 16  # boxes examined in the search for a known type


@dataclass(frozen=True)
class MediaFormat:
    """A media format.

    Attributes:
        name: Name for messages.
        demuxer: Name of FFmpeg's demuxer.
        magic: Regular expression for the first bytes of a file.
        videos: Suffixes of its files that hold a video, and possibly its sound.
        sounds: Suffixes of its files that hold only sound.
        is_timed: Whether it states when each frame is shown, which clips need.
    """

    name: str
    demuxer: str
    magic: bytes
    videos: tuple[str, ...] = ()
    sounds: tuple[str, ...] = ()
    is_timed: bool = True


# Types of boxes at the start of MP4 (ISO/IEC 14496-12) and QuickTime files, or fragments of them.
BOX_TYPES = (
    b"ftyp|styp|moov|moof|mdat|free|skip|wide|junk|pnot|pict|udta|uuid|meta|pdin|sidx|ssix|prft|prfl|emsg|mfra|ediw"
)
MP4 = MediaFormat(
    "MP4 or QuickTime",
    "mov",
    b".{4}(" + BOX_TYPES + b")",
    videos=(".mp4", ".mov", ".m4v", ".insv", ".360"),
    sounds=(".m4a",),
)
MP3 = MediaFormat("MP3", "mp3", b"ID3", sounds=(".mp3", ".mp2"))
FORMATS = (
    MediaFormat(
        "WAV",
        "wav",
        b"(RIFF|RIFX).{4}WAVE|(RF64|BW64).{4}WAVEds64",
        sounds=(".wav", ".amb", ".wave", ".bwf", ".rf64"),
    ),
    MediaFormat(
        "Wave64",
        "w64",
        rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00.{8}wave\xf3\xac\xd3\x11",
        sounds=(".w64",),
    ),
    MediaFormat("CAF", "caf", rb"caff\x00[\x01\x02]", sounds=(".caf",)),
    MediaFormat("AIFF", "aiff", b"FORM.{4}AIF[FC]", sounds=(".aif", ".aiff", ".aifc")),
    MediaFormat("FLAC", "flac", b"fLaC", sounds=(".flac",)),
    MediaFormat("Ogg", "ogg", b"OggS", sounds=(".opus", ".ogg", ".oga")),
    MP3,
    MP4,
    MediaFormat(
        "Matroska or WebM", "matroska", rb"\x1a\x45\xdf\xa3", videos=(".webm", ".mkv"), sounds=(".mka", ".weba")
    ),
    MediaFormat("AVI", "avi", rb"RIFF.{4}(AVI[ X\x19]|AMV )|ON2 .{4}ON2f", videos=(".avi",), is_timed=False),
)
FORMAT_NAMES = ", ".join(kind.name for kind in FORMATS)

# Suffixes in order of preference if a clip has several files; those not in PREFERRED follow in the order of FORMATS.
PREFERRED = (".mp4", ".webm", ".mkv", ".flac", ".wav", ".m4a", ".opus", ".amb")


def _by_preference(suffixes: Iterable[str]) -> tuple[str, ...]:
    """Sorts suffixes, the preferred ones first."""
    return tuple(sorted(suffixes, key=lambda suffix: (*PREFERRED, suffix).index(suffix)))


VIDEO_SUFFIXES = _by_preference(suffix for kind in FORMATS for suffix in kind.videos)
TIMED_VIDEO_SUFFIXES = _by_preference(suffix for kind in FORMATS if kind.is_timed for suffix in kind.videos)
SOUND_SUFFIXES = _by_preference(suffix for kind in FORMATS for suffix in kind.sounds)
# Suffixes of other media, so that such files are not passed over without a word.
UNSUPPORTED_SUFFIXES = frozenset(
    (
        ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp", ".mxf", ".lrv", ".aac", ".ac3",
        ".eac3", ".ac4", ".wma", ".au", ".ape", ".wv", ".tta", ".dsf", ".iamf",
    )
)  # fmt: skip

# Header of an MPEG audio frame: sync word, version and layer, bit rate.
FRAME_HEADER = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xeb]")
# Number of bytes in which leading zeros are skipped, and in which the first MPEG audio frame is then searched for, as
# FFmpeg does: a recording cut out of a broadcast starts in the middle of a frame.
MAX_LEADING_ZEROS, FRAME_SEARCH_BYTES = 2**20, 2**16
# MPEG audio bit rates in kbit/s, per layer (1, 2, 3), for version 1 and for versions 2 and 2.5; 0: not specified.
BIT_RATES = (
    (
        (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
        (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    ),
    (
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    ),
)
SAMPLE_RATES = (44100, 48000, 32000)  # MPEG audio sample rates of version 1, Hz


def media_format(path: Path) -> MediaFormat | None:
    """Determines the format of a media file from its first bytes.

    Args:
        path: Media file.

    Returns:
        The format; None if it is not supported.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        first = file.read(HEADER_BYTES)
        content = _after_tags(file, first)
        for header in (content, first):  # an ID3 tag without a recognised format after it means MP3
            for candidate in FORMATS:
                if re.match(candidate.magic, header, re.DOTALL):
                    return candidate
        file.seek(-len(content), SEEK_CUR)
        if _has_frames(file.read(MAX_LEADING_ZEROS).lstrip(b"\0")[:FRAME_SEARCH_BYTES]):
            return MP3
        return MP4 if _has_boxes(file) else None


def _after_tags(file: BinaryIO, header: bytes) -> bytes:
    """First HEADER_BYTES bytes after leading ID3 tags, which FFmpeg skips too."""
    start = 0
    while tag := re.match(rb"ID3[^\xff]{2}(.)([\x00-\x7f]{4})", header, re.DOTALL):
        size = sum(byte << 7 * place for place, byte in enumerate(reversed(tag[2])))
        start += 10 + size + (10 if tag[1][0] & 0x10 else 0)  # a header, and a footer if its flag is set
        file.seek(start)
        header = file.read(HEADER_BYTES)
    return header


def _has_boxes(file: BinaryIO) -> bool:
    """Whether one of the first MAX_BOXES boxes of a file has a type in BOX_TYPES."""
    offset = 0
    for _ in range(MAX_BOXES):
        file.seek(offset)
        header = file.read(16).ljust(16, b"\0")
        if re.match(MP4.magic, header, re.DOTALL):
            return True
        size = int.from_bytes(header[:4])
        size = int.from_bytes(header[8:]) if size == 1 else size
        if not 8 <= size < 2**63 - offset:
            return False
        offset += size
    return False


def _has_frames(content: bytes) -> bool:
    """Whether the bytes contain three consecutive MPEG audio frames of one kind."""
    for match in FRAME_HEADER.finditer(content):
        first, offset = match[0], match.start()
        for _ in range(3):
            header = content[offset : offset + 3]
            same_kind = (
                FRAME_HEADER.match(header) and header[1] >> 1 == first[1] >> 1 and not (header[2] ^ first[2]) & 0x0C
            )
            size = _frame_size(header) if same_kind else 0
            if not size:
                break
            offset += size
        else:
            return True
    return False


def _frame_size(header: bytes) -> int:
    """Bytes of the MPEG audio frame with this header, which matches FRAME_HEADER; 0 if its sample rate is reserved."""
    version, layer = {3: 0, 2: 1, 0: 2}[header[1] >> 3 & 3], 4 - (header[1] >> 1 & 3)  # versions 1, 2 and 2.5
    bit_rate = 1000 * BIT_RATES[min(version, 1)][layer - 1][header[2] >> 4]
    if header[2] >> 2 & 3 == 3:
        return 0
    rate, padding = SAMPLE_RATES[header[2] >> 2 & 3] >> version, header[2] >> 1 & 1
    if layer == 1:
        return (12 * bit_rate // rate + padding) * 4
    return (72 if layer == 3 and version else 144) * bit_rate // rate + padding
