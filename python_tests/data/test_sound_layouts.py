"""Layouts that containers declare for ambisonic sound, from bytes made here."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsa_fast.data.sound_layouts import (
    B_FORMAT_GUIDS,
    W64_FORMAT,
    W64_RIFF,
    SpatialSound,
    parse_channel_layout,
    parse_sa3d,
    read_caf_layout,
    read_wave_layout,
)
from avsa_fast.data.spherical_metadata import read_spherical_metadata

FUMA = SpatialSound(1, (0, 3, 1, 2), "fuma", "B-format WAVE sub-format")


def wave_format(guid: bytes, channels: int) -> bytes:
    """A WAVEFORMATEXTENSIBLE structure of 16-bit samples at 24 kHz."""
    block = 2 * channels
    return struct.pack("<HHIIHHHHI", 0xFFFE, channels, 24000, 24000 * block, block, 16, 22, 16, 0) + guid


def wav(form: bytes, *, before: bytes = b"") -> bytes:
    return b"RIFF\0\0\0\0WAVE" + before + b"fmt " + struct.pack("<I", len(form)) + form + b"data\0\0\0\0"


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize("guid", B_FORMAT_GUIDS)
def test_b_format_in_wav(guid: bytes) -> None:
    assert read_wave_layout(io.BytesIO(wav(wave_format(guid, 4)))) == FUMA
    odd = chunk(b"LIST", b"odd")  # chunks are padded to even lengths
    assert read_wave_layout(io.BytesIO(wav(wave_format(guid, 4), before=odd))) == FUMA
    second_order = read_wave_layout(io.BytesIO(wav(wave_format(guid, 9))))
    assert second_order is not None
    assert second_order.channels == (0, 3, 1, 2, 6, 7, 5, 8, 4)


def test_b_format_in_wave64() -> None:
    form = wave_format(B_FORMAT_GUIDS[1], 4)
    size = 24 + len(form)
    content = W64_RIFF + bytes(24) + W64_FORMAT + struct.pack("<Q", size) + form
    assert read_wave_layout(io.BytesIO(content)) == FUMA


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 25])
def test_b_format_without_a_whole_order_of_height_is_not_declared(channels: int) -> None:
    assert read_wave_layout(io.BytesIO(wav(wave_format(B_FORMAT_GUIDS[0], channels)))) is None


def test_ordinary_wav_declares_nothing() -> None:
    pcm = bytes.fromhex("0100000000001000800000aa00389b71")
    assert read_wave_layout(io.BytesIO(wav(wave_format(pcm, 4)))) is None
    assert read_wave_layout(io.BytesIO(wav(struct.pack("<HHIIHH", 1, 4, 24000, 192000, 8, 16)))) is None


def layout(tag: int, labels: tuple[int, ...] = ()) -> bytes:
    return struct.pack(">3I", tag, 0, len(labels)) + b"".join(struct.pack(">I16x", label) for label in labels)


@pytest.mark.parametrize(
    ("tag", "gains", "channels"),
    [(107, "fuma", (0, 3, 1, 2)), (190, "sn3d", (0, 1, 2, 3)), (191, "n3d", (0, 1, 2, 3))],
)
def test_core_audio_tags(tag: int, gains: str, channels: tuple[int, ...]) -> None:
    found = parse_channel_layout(layout(tag << 16 | 4))
    assert found == SpatialSound(1, channels, gains, "CoreAudio channel layout")  # type: ignore[arg-type]
    assert parse_channel_layout(layout(tag << 16 | 5)) is None
    assert parse_channel_layout(layout(100 << 16 | 4)) is None  # MPEG 4.0, a loudspeaker layout


@pytest.mark.parametrize(
    ("labels", "gains", "channels"),
    [
        ((200, 201, 202, 203), "fuma", (0, 3, 1, 2)),
        ((200, 202, 203, 201), "fuma", (0, 1, 2, 3)),
        ((2 << 16, 2 << 16 | 1, 2 << 16 | 2, 2 << 16 | 3), "unknown", (0, 1, 2, 3)),
        ((2 << 16 | 3, 2 << 16, 2 << 16 | 1, 2 << 16 | 2), "unknown", (3, 0, 1, 2)),
    ],
)
def test_core_audio_labels(labels: tuple[int, ...], gains: str, channels: tuple[int, ...]) -> None:
    found = parse_channel_layout(layout(0, labels))
    assert found is not None
    assert (found.gains, found.channels) == (gains, channels)
    assert parse_channel_layout(layout(0, (1, 2, 3, 4))) is None  # left, right, centre, LFE
    assert parse_channel_layout(layout(0, (*labels[:3], labels[0]))) is None  # one channel twice


def test_caf(tmp_path: Path) -> None:
    chan = layout(190 << 16 | 4)
    description = struct.pack(">d4s5I", 24000.0, b"lpcm", 0, 8, 1, 4, 16)
    chunks = [(b"desc", description), (b"info", b"odd"), (b"chan", chan), (b"data", bytes(4))]
    content = b"caff\0\1\0\0" + b"".join(name + struct.pack(">q", len(part)) + part for name, part in chunks)
    found = read_caf_layout(io.BytesIO(content))
    assert found == SpatialSound(1, (0, 1, 2, 3), "sn3d", "CoreAudio channel layout")
    (tmp_path / "a.caf").write_bytes(content)
    assert read_spherical_metadata(tmp_path / "a.caf").sounds == {0: found}


@given(content=st.binary(max_size=200), start=st.sampled_from([b"RIFF\0\0\0\0WAVE", b"caff\0\1\0\0", W64_RIFF]))
def test_random_bytes_are_no_layout(tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes) -> None:
    path = tmp_path_factory.mktemp("random") / "a"
    path.write_bytes(start + content)
    assert read_spherical_metadata(path).sounds == {}


def test_sizes_beyond_the_file_end_the_search() -> None:
    huge = b"RIFF\0\0\0\0WAVE" + b"junk\xff\xff\xff\xff"
    assert read_wave_layout(io.BytesIO(huge)) is None
    assert read_caf_layout(io.BytesIO(b"caff\0\1\0\0" + b"junk" + struct.pack(">q", -5))) is None
    assert parse_sa3d(struct.pack(">BBIBBI", 0, 0, 2**31, 0, 0, 2**32 - 1)) is None
