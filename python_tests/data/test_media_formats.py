"""File formats are recognised by a file's first bytes, regardless of its other content and its name."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from helpers.tracks import sound_track

from avsa_fast.data.container import open_stream
from avsa_fast.data.media_formats import (
    FORMATS,
    SOUND_SUFFIXES,
    TIMED_VIDEO_SUFFIXES,
    UNSUPPORTED_SUFFIXES,
    VIDEO_SUFFIXES,
    media_format,
)
from avsa_fast.data.sound import read_sound
from avsa_fast.errors import UserError

TIMES = [Fraction(i, 16) for i in range(16)]
WriteVideo = Callable[..., Path]


def write_sound(path: Path, muxer: str, codec: str, options: dict[str, str] | None = None) -> Path:
    """Writes one second of quiet stereo noise at 48 kHz."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format=muxer, options=options or {}) as container:
        stream = container.add_stream(codec, rate=48000, layout="stereo")
        for begin in range(0, 48000, 480):
            samples = rng.normal(0, 1000, (1, 960)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, begin, Fraction(1, 48000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def demuxer_of(path: Path, kind: str) -> str:
    """Returns the name of the demuxer that a file is opened with, after decoding part of it."""
    with open_stream(path, kind, 0) as (container, stream):
        assert next(container.decode(stream)).time is not None
        return container.format.name


def id3(size: int) -> bytes:
    return b"ID3\x04\x00\x00" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)


def test_ffmpeg_has_every_demuxer() -> None:
    assert len({candidate.demuxer for candidate in FORMATS}) == len(FORMATS)
    for candidate in FORMATS:
        assert av.format.ContainerFormat(candidate.demuxer, "r").is_input


def test_suffixes_by_preference() -> None:
    assert TIMED_VIDEO_SUFFIXES == (".mp4", ".webm", ".mkv", ".mov", ".m4v", ".insv", ".360")
    assert set(VIDEO_SUFFIXES) - set(TIMED_VIDEO_SUFFIXES) == {".avi"}
    assert SOUND_SUFFIXES == (
        ".flac", ".wav", ".m4a", ".opus", ".amb", ".wave", ".bwf", ".rf64", ".w64", ".caf", ".aif", ".aiff", ".aifc",
        ".ogg", ".oga", ".mp3", ".mp2", ".mka", ".weba",
    )  # fmt: skip
    suffixes = [suffix for kind in FORMATS for suffix in kind.videos + kind.sounds]
    assert len(set(suffixes) - UNSUPPORTED_SUFFIXES) == len(suffixes)


@pytest.mark.parametrize(
    ("name", "form", "subtype", "codec"),
    [
        ("a.caf", "CAF", "PCM_16", "pcm_s16be"),
        ("a.caf", "CAF", "FLOAT", "pcm_f32be"),
        ("a.aif", "AIFF", "PCM_24", "pcm_s24be"),
        ("a.aifc", "AIFF", "FLOAT", "pcm_f32be"),
        ("a.w64", "W64", "PCM_16", "pcm_s16le"),
        ("a.rf64", "RF64", "PCM_16", "pcm_s16le"),
    ],
)
def test_files_written_by_libsndfile(tmp_path: Path, name: str, form: str, subtype: str, codec: str) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 24000)).astype(np.float32)
    soundfile.write(tmp_path / name, samples.T, 24000, format=form, subtype=subtype)
    info = sound_track(tmp_path / name)
    assert (info.rate, info.channels, info.seconds, info.codec) == (24000, 4, 1.0, codec)
    np.testing.assert_allclose(read_sound(sound_track(tmp_path / name), 0.5, 1.0, 24000), samples, atol=2**-15)
    np.testing.assert_allclose(
        read_sound(sound_track(tmp_path / name), 0.75, 0.25, 24000), samples[:, 15000:21000], atol=2**-15
    )


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("rate", [24000, 48000])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_16", "PCM_24"])
def test_tones_in_a_wav_file(tmp_path: Path, rate: int, channels: int, subtype: str) -> None:
    time = np.arange(rate) / rate
    for amplitude, frequencies in [
        (0.9, (9000, 14000)), (0.9, (14000,)), (0.9, (1000,)), (0.9, (8000,)), (0.5, (1000,)), (0.5, (14000,)),
        (1.0, (9000, 14000)), (1.0, (1000,)), (0.1, (440, 3000)),
    ]:  # fmt: skip
        tones = [frequencies[channel % len(frequencies)] for channel in range(channels)]
        samples = amplitude * np.sin(2 * np.pi * np.outer(tones, time))
        path = tmp_path / f"{amplitude}-{frequencies}.wav"
        soundfile.write(path, samples.T, rate, subtype=subtype)
        info = sound_track(path)
        assert (info.rate, info.channels) == (rate, channels)
        assert info.codec == {"FLOAT": "pcm_f32le", "DOUBLE": "pcm_f64le"}.get(subtype, f"pcm_s{subtype[-2:]}le")
        np.testing.assert_allclose(read_sound(sound_track(path), 0.5, 1.0, rate), samples, atol=2**-15)


def test_silence_with_a_click_in_a_wav_file(tmp_path: Path) -> None:
    """FFmpeg's probing mistakes it for the format of a voice recorder that marks an empty WAV header."""
    samples = np.zeros(8000, np.int16)
    samples[(256 - 44) // 2] = 0x84
    soundfile.write(tmp_path / "click.wav", samples, 8000, subtype="PCM_16")
    assert (tmp_path / "click.wav").read_bytes()[256] == 0x84
    assert (read_sound(sound_track(tmp_path / "click.wav"), 0.5, 1.0, 8000)[0].numpy() * 2**15 == samples).all()


@pytest.mark.parametrize(
    ("name", "muxer", "codec", "demuxer"),
    [
        ("a.wav", "wav", "pcm_f32le", "wav"),
        ("a.w64", "w64", "pcm_s16le", "w64"),
        ("a.flac", "flac", "flac", "flac"),
        ("a.ogg", "ogg", "flac", "ogg"),
        ("a.opus", "opus", "libopus", "ogg"),
        ("a.mp3", "mp3", "libmp3lame", "mp3"),
        ("a.mp2", "mp2", "mp2", "mp3"),
        ("a.m4a", "ipod", "aac", "mov"),
        ("a.mka", "matroska", "flac", "matroska"),
        ("a.caf", "caf", "pcm_s16be", "caf"),
        ("a.aif", "aiff", "pcm_s16be", "aiff"),
    ],
)
@pytest.mark.parametrize("wrong", [None, ".mp4", ""])
def test_sound_format_is_determined_by_content(
    tmp_path: Path, name: str, muxer: str, codec: str, demuxer: str, wrong: str | None
) -> None:
    path = write_sound(tmp_path / name, muxer, codec)
    if wrong is not None:
        path = path.rename(path.with_suffix(wrong))
    assert demuxer_of(path, "sound") == demuxer


@pytest.mark.parametrize(
    ("name", "codec", "options", "demuxer"),
    [
        ("a.mp4", "libx264", {}, "mov"),
        ("fast.mp4", "libx264", {"movflags": "faststart"}, "mov"),
        ("fragments.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}, "mov"),
        ("a.mov", "libx264", {}, "mov"),
        ("a.mkv", "libx264", {}, "matroska"),
        ("a.webm", "libvpx", {}, "matroska"),
        ("a.avi", "libx264", {}, "avi"),
    ],
)
@pytest.mark.parametrize("wrong", [None, ".wav"])
def test_video_format_is_determined_by_content(
    write_video: WriteVideo, name: str, codec: str, options: dict[str, str], demuxer: str, wrong: str | None
) -> None:
    path = write_video(TIMES, name=name, options=options, codec=codec)
    if wrong is not None:
        path = path.rename(path.with_suffix(wrong))
    assert demuxer_of(path, "video") == demuxer


def test_rf64(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", "wav", "pcm_s16le", {"rf64": "always"})
    assert path.read_bytes()[:4] == b"RF64"
    assert demuxer_of(path, "sound") == "wav"
    path.write_bytes(b"BW64" + path.read_bytes()[4:])
    assert demuxer_of(path, "sound") == "wav"


@pytest.mark.parametrize("tags", [id3(50), id3(3_000_000), id3(50) + id3(700)])
def test_id3_tags_before_the_sound(tmp_path: Path, tags: bytes) -> None:
    for name, muxer, codec in [("a.flac", "flac", "flac"), ("a.mp3", "mp3", "libmp3lame")]:
        path = write_sound(tmp_path / name, muxer, codec, {"id3v2_version": "0"} if muxer == "mp3" else {})
        path.write_bytes(tags + path.read_bytes())
        assert demuxer_of(path, "sound") == muxer


@pytest.mark.parametrize(
    ("codec", "rate"), [("libmp3lame", 48000), ("libmp3lame", 16000), ("libmp3lame", 8000), ("mp2", 24000)]
)
def test_mpeg_audio_without_tags(tmp_path: Path, codec: str, rate: int) -> None:
    """Complete, after zeros, after unrelated bytes, and cut out of a longer file."""
    path = tmp_path / "a.mp3"
    options = {"id3v2_version": "0", "write_xing": "0"} if codec == "libmp3lame" else {}
    with av.open(str(path), "w", format="mp3" if codec == "libmp3lame" else "mp2", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for begin in range(0, rate, 100):
            frame = av.AudioFrame.from_ndarray(np.full((1, 100), begin % 1000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    for changed in (data, bytes(100_000) + data, b"others" * 500 + data, data[50:]):
        path.write_bytes(changed)
        assert demuxer_of(path, "sound") == "mp3"


@pytest.mark.parametrize("kind", [b"free", b"skip", b"wide", b"mdat", b"styp", b"uuid", b"junk", b"abcd"])
def test_other_boxes_before_the_media(write_video: WriteVideo, kind: bytes) -> None:
    path = write_video(TIMES, options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    path.write_bytes(struct.pack(">I4s16x", 24, kind) + path.read_bytes())
    assert demuxer_of(path, "video") == "mov"


@pytest.mark.parametrize("kind", [b"moof", b"sidx"])
def test_mp4_fragments(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "a.m4s").write_bytes(struct.pack(">I4s16x", 24, kind))
    found = media_format(tmp_path / "a.m4s")
    assert found is not None
    assert found.demuxer == "mov"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        bytes(100_000),
        b"\xff" * 100_000,
        bytes(range(256)) * 50,
        np.random.default_rng(0).bytes(300_000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\ninner.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile inner.mp4\n",
        b"\x47\x1f\xff\x10" * 47 * 100,
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        b"FORM\x00\x00\x00\x00ILBMBMHD",
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
    ],
    ids=["empty", "3 bytes", "zeros", "ones", "ramp", "noise", "playlist", "concat", "ts", "webp", "image", "png"],
)
@pytest.mark.parametrize("name", ["x.mp4", "x.wav", "x"])
def test_unknown_formats_are_refused(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for kind in ("sound", "video"):
        with pytest.raises(UserError) as refusal, open_stream(path, kind, 0):
            pass
        assert str(refusal.value) == (
            f"{path}: not a readable {kind} file; expected WAV, Wave64, CAF, AIFF, FLAC, Ogg, MP3, "
            "MP4 or QuickTime, Matroska or WebM, AVI"
        )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.wav", "a.avi"])
def test_tags_that_are_not_utf8(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "PLACEHOLDER"
        stream = container.add_stream("pcm_s16le" if name in ("a.wav", "a.avi") else "flac", rate=48000, layout="mono")
        stream.metadata["title"] = "PLACEHOLDER"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert b"PLACEHOLDER" in data
    path.write_bytes(data.replace(b"PLACEHOLDER", b"\xcc\xce\xd1\xca\xc2\xc0\xff\xfe\xed\xa0\x80"))
    assert sound_track(path).rate == 48000
