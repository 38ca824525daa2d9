"""Small media files for tests of embeddings and labelled datasets."""

from pathlib import Path

import av
import numpy as np
import soundfile


def write_video(
    path: Path, seconds: float, width: int, height: int, codec: str = "libx264", rate: int = 16, *, still: bool = False,
    level: int = 255, sphere: bool = False,
) -> Path:  # fmt: skip
    """Writes a video of noise from 0 to `level`.

    With `still`, one image is repeated, for long files; with `sphere`, its left and right edges continue into each
    other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "libx264":
            stream.options = {"preset": "ultrafast"}
        for number in range(round(seconds * rate)):
            if number == 0 or not still:
                picture = rng.integers(0, level + 1, (height, width, 3)).astype(np.uint8)
                picture = np.maximum(picture, picture[:, ::-1]) if sphere else picture
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, seconds: float, channels: int, rate: int = 24000, *, tone: float | None = None) -> Path:
    """Writes noise, or a tone (in Hz) with weak noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(channels).normal(0, 0.1, (round(seconds * rate), channels))
    if tone is not None:
        samples = samples / 20 + 0.3 * np.sin(2 * np.pi * tone * np.arange(len(samples)) / rate)[:, None]
    soundfile.write(path, samples, rate)
    return path
