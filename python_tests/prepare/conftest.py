"""Small clips: video that brightens from black to white, sound of noise."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

AddClip = Callable[..., None]


@pytest.fixture
def add_video() -> AddClip:
    """Writes 2 s of video at 20 fps that brightens, or has a constant level, with AAC noise in a given layout."""

    def add(path: Path, sound: str | None = None, level: int | None = None, seconds: float = 2) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        count = round(seconds * 20)
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=20)
            stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
            audio = file.add_stream("aac", rate=48000, layout=sound) if sound else None
            for i in range(count):
                grey = level if level is not None else round(i / (count - 1) * 255)
                frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), grey, np.uint8), "rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 20)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
            if audio:
                channels = audio.codec_context.channels
                noise = np.random.default_rng(0).normal(0, 0.1, (channels, round(seconds * 48000)))
                for begin in range(0, noise.shape[1], 1024):
                    part = np.ascontiguousarray(noise[:, begin : begin + 1024].astype(np.float32))
                    sample = av.AudioFrame.from_ndarray(part, "fltp", sound)
                    sample.sample_rate, sample.pts, sample.time_base = 48000, begin, Fraction(1, 48000)
                    file.mux(audio.encode(sample))
                file.mux(audio.encode(None))

    return add


@pytest.fixture
def add_sound() -> AddClip:
    """Writes 2 s of noise, 4 channels by default."""

    def add(path: Path, channels: int = 4, seconds: float = 2) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(1).normal(0, 0.1, (round(seconds * 24000), channels))
        soundfile.write(path, noise, 24000)

    return add


@pytest.fixture
def add_clip(add_video: AddClip, add_sound: AddClip, tmp_path: Path) -> Callable[..., Path]:
    """Adds a clip to a dataset folder."""

    def add(name: str, channels: int = 4, **options: object) -> Path:
        add_video(tmp_path / "data" / "video" / f"{name}.mp4", **options)
        add_sound(tmp_path / "data" / "audio" / f"{name}.flac", channels)
        return tmp_path / "data"

    return add
