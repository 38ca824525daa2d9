from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tracks import sound_track
from scipy.signal import correlate

from avsa_fast.data import container, sound
from avsa_fast.data.sound import read_overview, read_sound
from avsa_fast.errors import UserError

RATE, SECONDS = 24000, 4.0
LOSSLESS = [
    ("s.flac", 48000, "PCM_16", 2e-4),
    ("s.flac", 44100, "PCM_24", 1e-5),
    ("s.flac", 24000, "PCM_24", 1e-6),
    ("s.wav", 44100, "FLOAT", 1e-5),
    ("s.wav", 22050, "PCM_32", 1e-5),
    ("s.wav", 16000, "PCM_16", 2e-4),
    ("s.wav", 32000, "PCM_U8", 3e-2),
]


def instants(centre: float, seconds: float = 1.0) -> np.ndarray:
    """The time of each sample of `read_sound`, by its definition."""
    return (round((centre - seconds / 2) * RATE) + np.arange(round(seconds * RATE))) / RATE


@pytest.fixture
def make(tones: Callable[..., Any], write_sound: Callable[..., Path]) -> Callable[..., tuple[Path, Any]]:
    def make(name: str, rate: int, channels: int = 4, **options: Any) -> tuple[Path, Any]:
        truth = tones(channels)
        return write_sound(truth.at(np.arange(int(SECONDS * rate)) / rate), rate, name, **options), truth

    return make


@pytest.mark.parametrize(("name", "rate", "subtype", "tolerance"), LOSSLESS)
def test_lossless_sound_is_sample_accurate(
    make: Callable[..., Any], rng: np.random.Generator, name: str, rate: int, subtype: str, tolerance: float
) -> None:
    path, truth = make(name, rate, subtype=subtype)
    for centre in rng.uniform(0.6, SECONDS - 0.6, 4):
        read = read_sound(sound_track(path), centre)
        assert read.shape == (4, RATE)
        assert read.dtype == torch.float32
        assert np.abs(read.numpy() - truth.at(instants(centre))).max() < tolerance


@pytest.mark.parametrize(("name", "rate"), [("s.m4a", 48000), ("s.m4a", 44100), ("s.opus", 48000), ("s.mka", 48000)])
def test_lossy_sound_has_no_delay(make: Callable[..., Any], rng: np.random.Generator, name: str, rate: int) -> None:
    path, truth = make(name, rate)
    for centre in [0.5, *rng.uniform(0.6, SECONDS - 0.6, 3), SECONDS - 0.5]:
        read, true = read_sound(sound_track(path), centre).numpy(), truth.at(instants(centre))
        for actual, expected in zip(read, true, strict=True):
            correlation = correlate(actual, expected, method="fft")
            lag = int(correlation.argmax()) - (RATE - 1)
            assert abs(lag) <= (0 if name != "s.mka" else 20), (centre, lag)  # Matroska timestamps are in milliseconds
            assert correlation.max() > 0.9 * np.linalg.norm(actual) * np.linalg.norm(expected)


# Opus predicts across blocks: after a seek, the remaining error has decayed to -60 dB.
@pytest.mark.parametrize(("name", "tolerance"), [("s.m4a", 1e-5), ("s.opus", 1e-3), ("s.flac", 0)])
def test_seek_matches_full_decoding(make: Callable[..., Any], name: str, tolerance: float) -> None:
    path, _ = make(name, 48000)
    whole = read_sound(sound_track(path), SECONDS / 2, SECONDS, 48000)
    for centre in (1.5, 2.2, 3.3):
        first = round((centre - 0.5) * 48000)
        part = read_sound(sound_track(path), centre, 1.0, 48000)
        assert (part - whole[:, first : first + 48000]).abs().max() <= tolerance


@pytest.mark.parametrize(("name", "rate"), [("s.flac", 44100), ("s.opus", 48000), ("s.wav", 24000)])
def test_zeros_beyond_the_ends(make: Callable[..., Any], name: str, rate: int) -> None:
    path, truth = make(name, rate)
    start, end = read_sound(sound_track(path), 0.2).numpy(), read_sound(sound_track(path), SECONDS - 0.2).numpy()
    silent = round(0.3 * RATE)
    ring = 60  # the resampling filter rings around an edge
    assert np.abs(start[:, : silent - ring]).max() < 1e-6
    assert np.abs(end[:, -(silent - ring) :]).max() < 1e-6
    if name != "s.opus":
        assert np.abs(start - truth.at(instants(0.2)))[:, silent + ring :].max() < 1e-3
        assert np.abs(end - truth.at(instants(SECONDS - 0.2)))[:, : -silent - ring].max() < 1e-3
    assert not read_sound(sound_track(path), -2.0).any()
    assert not read_sound(sound_track(path), SECONDS + 9).any()


def test_seeks_instead_of_decoding_from_the_start(
    write_sound: Callable[..., Path], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[float] = []

    def counting(*args: Any) -> Any:
        for frame in container.decode_from(*args):
            decoded.append(frame.samples / frame.sample_rate)
            yield frame

    monkeypatch.setattr(sound, "decode_from", counting)
    noise = rng.uniform(-0.5, 0.5, (4, 48000 * 12))
    for name in ("long.flac", "long.wav", "long.m4a", "long.opus"):
        path = write_sound(noise, 48000, name)
        for centre in (11.0, 1.0):
            decoded.clear()
            read_sound(sound_track(path), centre)
            assert sum(decoded) < 2.7, name  # Ogg seeks to pages, which last one second each


def test_channels_are_not_mixed_or_reordered(write_sound: Callable[..., Path]) -> None:
    # One pitch per channel, with a low one in FFmpeg's LFE channel, because AAC low-passes it.
    pitches, time = np.array([400.0, 700, 1000, 60, 1300, 1600]), np.arange(48000 * 3) / 48000
    path = write_sound(0.5 * np.sin(2 * np.pi * pitches[:, None] * time), 48000, "six.m4a", layout="5.1")
    spectrum = torch.fft.rfft(read_sound(sound_track(path), 1.5)).abs()  # 1 Hz per bin
    assert spectrum.argmax(dim=1).tolist() == [400, 700, 1000, 60, 1300, 1600]
    peaks = spectrum.amax(dim=1) * 2 / RATE
    assert (peaks - 0.5).abs().max() < 0.03


def test_length_and_rate_are_exact(make: Callable[..., Any], rng: np.random.Generator) -> None:
    path, truth = make("s.wav", 44100, subtype="FLOAT")
    for seconds in rng.uniform(0.01, 2, 5):
        centre = rng.uniform(1, SECONDS - 1)
        read = read_sound(sound_track(path), centre, seconds)
        assert read.shape == (4, round(seconds * RATE))
        assert np.abs(read.numpy() - truth.at(instants(centre, seconds))).max() < 1e-4


def test_resampling_does_not_alias(write_sound: Callable[..., Path]) -> None:
    time = np.arange(48000 * 2) / 48000
    tone = 0.9 * np.sin(2 * np.pi * np.array([[9000.0], [14000.0]]) * time)
    passed, removed = read_sound(sound_track(write_sound(tone, 48000, "tones.wav", subtype="FLOAT")), 1.0, 0.8)
    assert passed.abs().max() == pytest.approx(0.9, rel=1e-3)
    assert removed.abs().max() < 1e-3


def test_probe_and_overview(make: Callable[..., Any]) -> None:
    path, _ = make("s.flac", 44100)
    info = sound_track(path)
    assert (info.seconds, info.rate, info.channels, info.codec) == (SECONDS, 44100, 4, "flac")
    assert torch.equal(read_overview(sound_track(path)), read_sound(sound_track(path), SECONDS / 2, SECONDS, 44100))
    parts = read_overview(sound_track(path), windows=3, seconds=0.5)
    assert parts.shape == (4, 3 * 22050)
    assert torch.equal(parts[:, 22050:44100], read_sound(sound_track(path), SECONDS / 2, 0.5, 44100))


def test_invalid_sound_files_are_refused(
    tmp_path: Path, write_video: Callable[..., Path], write_sound: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=r"missing\.flac: no such file"):
        read_sound(sound_track(tmp_path / "missing.flac"), 0.5)
    (tmp_path / "garbage.flac").write_bytes(bytes(range(256)) * 50)
    with pytest.raises(UserError, match=r"garbage\.flac: not a readable sound file; expected WAV, "):
        sound_track(tmp_path / "garbage.flac")
    with pytest.raises(UserError, match=r"video\.mp4: no audio in this file"):
        read_sound(sound_track(write_video([i / 16 for i in range(16)])), 0.5)
    with pytest.raises(UserError, match=r"none\.wav: .*no samples"):
        read_sound(sound_track(write_sound(np.zeros((4, 0)), 48000, "none.wav")), 0.5)
    with pytest.raises(UserError, match=r"odd\.wav: 44099 Hz has no simple ratio to 24000 Hz"):
        read_sound(sound_track(write_sound(np.zeros((4, 50000)), 44099, "odd.wav")), 0.5)
    with pytest.raises(UserError, match=r"low\.wav: a sample rate of 100 Hz"):
        read_sound(sound_track(write_sound(np.zeros((4, 500)), 100, "low.wav")), 0.5)


@pytest.mark.parametrize("name", ["s.flac", "s.wav"])
def test_truncated_file_is_refused_beyond_its_end(make: Callable[..., Any], name: str) -> None:
    path, _ = make(name, 24000)
    data = path.read_bytes()
    whole = read_sound(sound_track(path), 1.0)
    path.write_bytes(data[: len(data) // 2])
    assert torch.equal(read_sound(sound_track(path), 1.0), whole)
    if name == "s.flac":  # a truncated WAV file declares its new length
        with pytest.raises(UserError, match=r"s\.flac: .*(truncated|Invalid data)"):
            read_sound(sound_track(path), 3.5)


@pytest.mark.parametrize("name", ["s.m4a", "s.flac", "s.opus", "s.wav"])
def test_damaged_files_raise_only_user_errors(make: Callable[..., Any], rng: np.random.Generator, name: str) -> None:
    path, _ = make(name, 48000)
    intact = np.frombuffer(path.read_bytes(), np.uint8)
    refusals = []
    for _ in range(8):
        data = intact.copy()
        hits = rng.integers(0, 5000, rng.integers(1, 20)) * rng.choice([1, -1])  # headers are at either end
        data[hits] = rng.integers(0, 256, len(hits))
        path.write_bytes(data.tobytes())
        try:
            assert read_sound(sound_track(path), rng.uniform(0, SECONDS)).shape[1] == RATE
        except UserError as error:
            refusals.append(str(error))
    assert all(line.startswith(f"{path}: ") for line in refusals)


def test_real_clip(assets: Path) -> None:
    path = assets / "video" / "kqAZkf5Odyw-80.m4a"
    info = sound_track(path)
    assert (info.rate, info.channels, info.codec, info.layout) == (48000, 6, "aac", "5.1")
    whole, part = (
        read_sound(sound_track(path), 5.0, 10.0, 48000)[:, 48000 * 6 : 48000 * 7],
        read_sound(sound_track(path), 6.5, 1.0, 48000),
    )
    # Decodings differ slightly, because AAC's noise substitution draws new noise in each.
    assert (whole - part).square().sum() < 0.01 * whole.square().sum()
    assert not part[[3, 5]].any()
