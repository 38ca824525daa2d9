"""Sound that is transcoded in parts has no jumps where they meet, whatever the resolution of its timestamps."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from avsa_fast.prepare import PrepareOptions, transcode
from avsa_fast.prepare.clip import prepare_clip
from avsa_fast.prepare.find import Job
from avsa_fast.prepare.options import MIN_HEIGHT

TONE, SECONDS = 300.0, 6  # Hz, s
MAX_JUMP = 2.0  # degrees between windows of 50 ms; a jump of 1 ms has 108


@pytest.mark.parametrize(("codec", "rate"), [("pcm_s16le", 44100), ("libopus", 48000)])
def test_matroska(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, rate: int) -> None:
    """Its timestamps are whole milliseconds, which a block of samples need not be."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=5)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        sound = file.add_stream(codec, rate=rate, layout="4.0")
        assert isinstance(sound, av.AudioStream)
        if codec == "libopus":
            sound.codec_context.options = {"mapping_family": "255"}
        for _ in range(5 * SECONDS):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.full((32, 64, 3), 90, np.uint8), format="rgb24")))
        file.mux(video.encode(None))
        wave = 0.3 * np.sin(2 * np.pi * TONE * np.arange(rate * SECONDS) / rate)
        block = 960 if codec == "libopus" else 1024
        for begin in range(0, len(wave), block):
            part = np.tile(np.round(wave[begin : begin + block] * 2**15).astype(np.int16)[:, None], (1, 4))
            frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="s16", layout="4.0")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), begin
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    monkeypatch.setattr(transcode, "CHUNK", 0.77)  # seconds, many parts
    options = PrepareOptions(detector=None, transcode=True, height=MIN_HEIGHT)
    row = prepare_clip(Job("a", path, path), options, None, tmp_path / "data").row
    assert row["state"] == "ok", row["reason"]
    written, written_rate = soundfile.read(tmp_path / "data" / "audio" / "a.flac")
    length = written_rate // 20
    times = np.arange(len(written)) / written_rate
    phases = [
        np.angle((written[i : i + length, 0] * np.exp(-2j * np.pi * TONE * times[i : i + length])).sum())
        for i in range(length * 4, len(written) - length * 8, length)
    ]
    jumps = np.degrees(np.abs(np.angle(np.exp(1j * np.diff(phases)))))
    assert jumps.max() < MAX_JUMP
