"""Media files synthesised for the tests: frames that carry their own number, sounds known at every instant."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

WIDTH, HEIGHT, BLOCK = 128, 64, 16


def numbered_frame(number: int) -> NDArray[np.uint8]:
    """[H, W, 3]: a number below 2^16, as black and white blocks."""
    bits = np.array([(number >> bit) & 1 for bit in range(16)], np.uint8).reshape(2, 8)
    rows = np.kron(bits, np.full((HEIGHT // 2, BLOCK), 255, np.uint8))
    return np.repeat(rows[..., None], 3, axis=2)


@pytest.fixture
def read_numbers() -> Callable[[NDArray[np.uint8]], list[int]]:
    """The numbers of frames [F, H, W, 3]."""

    def read(frames: NDArray[np.uint8]) -> list[int]:
        blocks = np.asarray(frames)[..., 0].reshape(len(frames), 2, HEIGHT // 2, 8, BLOCK).mean((2, 4)) > 127
        return (blocks.reshape(len(frames), 16) << np.arange(16)).sum(1).tolist()

    return read


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes an H.264 file of numbered frames (or of given ones) shown at given times, in seconds."""

    def write(
        times: Sequence[Fraction],
        *,
        name: str = "video.mp4",
        gop: int = 250,
        images: Sequence[NDArray[np.uint8]] | None = None,
        options: dict[str, str] | None = None,
        tick: Fraction = Fraction(1, 90000),
        codec: str = "libx264",
        params: str | None = None,
    ) -> Path:
        images = images if images is not None else [numbered_frame(i) for i in range(len(times))]
        with av.open(str(tmp_path / name), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=30)
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = "yuv420p" if codec in ("libx264", "libvpx") else "bgr0"
            stream.codec_context.gop_size = gop
            stream.codec_context.time_base = tick
            if codec == "libx264":
                stream.options = {"preset": "ultrafast", "bf": "2", "b-adapt": "0", "sc_threshold": "0"}
                stream.options = {"preset": "fast", "x264-params": params} if params else stream.options
            for time, image in zip(times, images, strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = round(time / tick), tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return tmp_path / name

    return write


class Tones:
    """Channels of many sines each, known exactly at every instant; aperiodic over any second."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.frequencies = rng.uniform(100, 3500, (channels, 12))
        self.phases = rng.uniform(0, 2 * np.pi, (channels, 12))

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """[T] seconds -> [C, T], within ±1."""
        waves = np.sin(2 * np.pi * self.frequencies[..., None] * times + self.phases[..., None])
        return 0.9 / 12 * waves.sum(1)


@pytest.fixture
def tones(rng: np.random.Generator) -> Callable[[int], Tones]:
    return lambda channels: Tones(channels, rng)


@pytest.fixture
def write_sound(tmp_path: Path) -> Callable[..., Path]:
    """Writes samples [C, T] to a file whose name's ending says the format."""

    def write(
        samples: NDArray[np.float64], rate: int, name: str, layout: str = "4.0", subtype: str | None = None
    ) -> Path:
        path = tmp_path / name
        if path.suffix in (".flac", ".wav"):
            soundfile.write(path, samples.T, rate, subtype=subtype)
            return path
        codec, block = ("libopus", 960) if path.suffix == ".opus" else ("aac", 1024)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout=layout)
            stream.bit_rate = 128000 * len(samples)
            if codec == "libopus":
                stream.codec_context.options = {"mapping_family": "255"}
            for begin in range(0, samples.shape[1], block):
                part = samples[:, begin : begin + block].astype(np.float32)
                planes = part.T.reshape(1, -1) if codec == "libopus" else part
                format = "flt" if codec == "libopus" else "fltp"
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format=format, layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write
