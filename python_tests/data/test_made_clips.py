"""Clips made in many containers, codecs and timings: every reader finds the frames and the sound that were written."""

from dataclasses import replace
from math import degrees
from pathlib import Path

import numpy as np
import pytest
from helpers.clips import Made, make_clip, numbers
from helpers.seeds import seed_of
from hypothesis import given, settings
from hypothesis import strategies as st

from avsa_fast.data.describe import Overrides, describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.rows import description_of
from avsa_fast.data.validity import arrivals, directions_of_arrival
from avsa_fast.embed.media import DescribeTask, Source
from avsa_fast.prepare import PrepareOptions
from avsa_fast.prepare.clip import prepare_clip
from avsa_fast.prepare.find import Job

MAX_DELAY = 0.5e-3  # seconds
MAX_ANGLE = 1.0  # degrees
CODECS = {
    "mp4": (["libx264"], ["aac", "flac", "libopus", "alac"]),
    "mov": (["libx264"], ["aac", "pcm_s16le", "alac"]),
    "mkv": (["libx264", "libvpx"], ["aac", "flac", "libopus", "pcm_s16le"]),
    "webm": (["libvpx"], ["libopus"]),
}
# Samples that an encoder puts before the first one.
PRIMING = {"aac": 1024, "opus": 312}
BESIDE = ["wav", "flac", "w64", "caf", "ogg", "opus"]
KINDS = [
    (container, video, sound) for container, (videos, sounds) in CODECS.items() for video in videos for sound in sounds
]


def delay(got: np.ndarray, want: np.ndarray, rate: int) -> float:
    """Seconds by which a signal [n] is later than another, from the peak of their correlation."""
    size = 2 * len(got)
    product = np.fft.rfft(got, size) * np.conj(np.fft.rfft(want, size))
    fine = 8  # the correlation is interpolated to this many steps per sample
    correlation = np.fft.irfft(product, size * fine)
    peak = int(np.argmax(correlation))
    return (peak - size * fine if peak > size * fine // 2 else peak) / (fine * rate)


def check(made: Made, reader: MediaReader, rng: np.random.Generator) -> None:
    """Frames around random times, sound around others, and its direction."""
    found = reader.description
    priming = PRIMING.get(reader.sound.codec, 0) / made.rate  # may be part of the track
    tick = 0.002 + priming  # Matroska's timestamps are in milliseconds
    assert reader.sound.zero == pytest.approx(made.zero, abs=tick)
    made = replace(made, zero=reader.sound.zero)
    assert found.projection == "erp"
    assert found.layout.channel_map == (0, 1, 2, 3)
    assert (reader.video.fps, reader.video.width, reader.video.height) == (pytest.approx(made.fps, rel=0.02), 128, 64)
    assert found.begin == pytest.approx(max(made.video_start, made.sound_start) - made.zero, abs=tick)
    assert found.end == pytest.approx(min(made.video_start, made.sound_start) + made.seconds - made.zero, abs=0.1)
    for _ in range(3):
        number = int(rng.integers(2, round(made.seconds * made.fps) - 2))
        time = made.video_start - made.zero + (number + 0.5) / made.fps
        frames = reader.frames(time, count=3, fps=made.fps)
        assert numbers(frames.numpy()) == [made.number_at(time + step / made.fps) for step in (-1, 0, 1)]
    margin = 0.3
    for _ in range(3):
        offset = rng.uniform(margin, made.seconds - margin)
        centre = round((made.sound_start - made.zero + offset) * made.rate) / made.rate
        got = reader.scene(centre, 0.4, made.rate).double().numpy()
        want = made.sound_at(centre, 0.4)
        assert abs(delay(got[0], want[0], made.rate)) <= MAX_DELAY
    arrival = arrivals(
        *directions_of_arrival(reader.scene((found.begin + found.end) / 2, found.end - found.begin), 24000)
    )
    assert arrival.azimuth is not None
    assert arrival.elevation is not None
    azimuth, elevation = made.direction
    turn = np.angle(np.exp(1j * (arrival.azimuth - azimuth))) * np.cos(elevation)
    assert degrees(np.hypot(turn, arrival.elevation - elevation)) <= MAX_ANGLE


@st.composite
def settings_of_clips(draw: st.DrawFn) -> dict[str, object]:
    """Arguments of make_clip."""
    container, video, sound = draw(st.sampled_from(KINDS))
    beside = draw(st.sampled_from([None, None, *BESIDE]))
    starts = draw(st.sampled_from([(0.0, 0.0), (0.25, 0.0), (0.0, 0.5), (1.5, 1.5), (90.0, 90.25)]))
    if beside:
        starts = (draw(st.sampled_from([0.0, 0.75])), 0.0)
    needs_48k = "libopus" in (sound, "libopus" if beside == "opus" else "")
    return {
        "container": container, "video_codec": video, "sound_codec": sound, "beside": beside,
        "video_start": starts[0], "sound_start": starts[1],
        "seconds": draw(st.sampled_from([1.5, 2.0, 3.2])), "fps": draw(st.sampled_from([10, 16, 25])),
        "rate": 48000 if needs_48k else draw(st.sampled_from([24000, 44100, 48000])),
    }  # fmt: skip


def assert_read_rightly(folder: Path, arguments: dict[str, object]) -> None:
    rng = np.random.default_rng(seed_of(repr(sorted(arguments.items(), key=str))))
    made = make_clip(folder, rng, **arguments)
    described = describe(made.video, made.sound)
    check(made, MediaReader(described), rng)

    row = prepare_clip(Job("clip", made.video, made.sound), PrepareOptions(detector=None), None, folder).row
    assert row["state"] == "ok", row["reason"]
    stored = description_of(row, made.video, made.sound)
    assert stored == replace(described, geometry=stored.geometry)
    assert DescribeTask(Overrides()).start()(Source(made.video, made.sound), lambda: None).description == described


@settings(max_examples=12)
@given(arguments=settings_of_clips())
def test_made_clips(tmp_path_factory: pytest.TempPathFactory, arguments: dict[str, object]) -> None:
    assert_read_rightly(tmp_path_factory.mktemp("clip"), arguments)


@pytest.mark.slow
@settings(max_examples=150)
@given(arguments=settings_of_clips())
def test_many_made_clips(tmp_path_factory: pytest.TempPathFactory, arguments: dict[str, object]) -> None:
    assert_read_rightly(tmp_path_factory.mktemp("clip"), arguments)


@pytest.mark.parametrize(("container", "video", "sound"), KINDS)
def test_each_kind_of_clip(tmp_path: Path, container: str, video: str, sound: str) -> None:
    rate = 48000 if sound == "libopus" else 44100
    assert_read_rightly(
        tmp_path,
        {
            "container": container, "video_codec": video, "sound_codec": sound, "beside": None,
            "video_start": 0.0, "sound_start": 0.0, "seconds": 2.0, "fps": 16, "rate": rate,
        },
    )  # fmt: skip
