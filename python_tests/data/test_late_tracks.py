"""Matroska files whose tracks start late: it states no starts and lengths of tracks, and FFmpeg's guesses are wrong."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.prepare import PrepareOptions
from avsa_fast.prepare.clip import prepare_clip
from avsa_fast.prepare.find import Job

RATE = 48000


def write(path: Path, seconds: float, *, video_start: float = 0.0, sound_start: float = 0.0, fps: int = 4) -> Path:
    """Writes a dim video and a click at the start of each second of four-channel sound, interleaved by time."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=fps)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        video.options = {"preset": "ultrafast", "bf": "0"}
        video.codec_context.time_base = Fraction(1, 1000)
        sound = file.add_stream("pcm_s16le", rate=RATE, layout="4.0")
        assert isinstance(sound, av.AudioStream)
        noise = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)
        pending = [(video_start + k / fps, None) for k in range(round(seconds * fps))]
        pending += [(sound_start + k / 20, k) for k in range(round(seconds * 20))]
        for time, block in sorted(pending, key=lambda item: item[0]):
            if block is None:
                frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
                frame.time_base, frame.pts = Fraction(1, 1000), round(time * 1000)
                file.mux(video.encode(frame))
                continue
            samples = np.zeros((RATE // 20, 4), np.int16)
            if block % 20 == 0:
                samples[0] = 20000
            part = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="4.0")
            part.sample_rate, part.time_base, part.pts = RATE, Fraction(1, RATE), round(time * RATE)
            file.mux(sound.encode(part))
        for stream in (video, sound):
            file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("video_start", "sound_start"), [(0.0, 0.7), (0.7, 0.0), (0.0, 6.0), (5.5, 0.0)])
def test_starts_and_lengths(tmp_path: Path, video_start: float, sound_start: float) -> None:
    path = write(tmp_path / "a.mkv", 12.0, video_start=video_start, sound_start=sound_start)
    found = describe(path, path)
    assert found.video is not None
    assert found.sound is not None
    assert (found.video.start, found.sound.start) == pytest.approx((video_start, sound_start), abs=2e-3)
    assert (found.video.seconds, found.sound.seconds) == pytest.approx((12.0, 12.0), abs=0.06)
    heard = MediaReader(found).scene(sound_start + 3.0, 0.1, RATE)[0]
    assert abs(int(heard.argmax()) - RATE // 20) <= RATE / 2000  # the click, within 0.5 ms
    row = prepare_clip(Job("a", path, path), PrepareOptions(detector=None, projection="erp"), None, tmp_path).row
    delay = sound_start - video_start
    if abs(delay) > 2:
        assert f"sound starts {delay:.2f} s after the video" in row["reason"]
    else:
        assert (row["state"], row["offset"]) == ("ok", pytest.approx(delay, abs=2e-3))


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.08, 0.1])
def test_short_flac(tmp_path: Path, seconds: float) -> None:
    """A file of one block, in which FFmpeg cannot seek."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * RATE), 4))
    soundfile.write(tmp_path / "a.flac", samples, RATE, subtype="PCM_24")
    reader = MediaReader(describe(None, tmp_path / "a.flac"))
    for _ in range(2):  # once more from the file that is still open
        read = reader.scene(seconds / 2, seconds, RATE)
        np.testing.assert_allclose(read.numpy(), samples.T, atol=2**-22)


def test_rates_that_cannot_be_converted_are_refused_at_once(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((44101, 4)), 44101)
    write(tmp_path / "a.mkv", 1.0)
    row = prepare_clip(
        Job("a", tmp_path / "a.mkv", tmp_path / "a.wav"),
        PrepareOptions(detector=None, projection="erp"),
        None,
        tmp_path,
    ).row
    assert row["state"] == "refused"
    assert "44101 Hz has no simple ratio to 24000 Hz" in row["reason"]
