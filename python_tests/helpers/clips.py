"""Clips made by PyAV whose frames and sound are known exactly: in many containers, codecs, layouts and timings."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

WIDTH, HEIGHT, BLOCK = 128, 64, 16
BLOCKS = {"aac": 1024, "libopus": 960, "flac": 4096, "pcm_s16le": 1024, "alac": 4096}


@dataclass(frozen=True)
class Made:
    """A clip, and what is in it.

    Attributes:
        video: Video file.
        sound: File with the sound; the same one if the sound is in the video.
        fps: Frames per second; frame k shows the number k.
        seconds: Duration of video and sound.
        video_start: Timestamp of the first frame, seconds.
        sound_start: Timestamp of the first sample, seconds.
        scene: [4, T] at `rate`, a plane wave of noise: W, Y, Z, X.
        rate: Sample rate of the file, Hz.
        direction: Azimuth and elevation of the wave, radians.
        zero: Timestamp from which the clip's times are counted.
    """

    video: Path
    sound: Path
    fps: int
    seconds: float
    video_start: float
    sound_start: float
    scene: NDArray[np.float64]
    rate: int
    direction: tuple[float, float]
    zero: float

    def number_at(self, time: float) -> int:
        """Number of the frame shown at a time of the clip."""
        number = int(np.floor((time + self.zero - self.video_start) * self.fps))
        return min(max(number, 0), round(self.seconds * self.fps) - 1)

    def sound_at(self, centre: float, seconds: float) -> NDArray[np.float64]:
        """[4, n] samples of the scene around a time of the clip, zero outside."""
        count = round(seconds * self.rate)
        first = round((centre - seconds / 2 + self.zero - self.sound_start) * self.rate)
        padded = np.pad(self.scene, ((0, 0), (count, count)))
        begin = min(max(first + count, 0), padded.shape[1] - count)
        return padded[:, begin : begin + count]


def numbered_frame(number: int) -> NDArray[np.uint8]:
    """[H, W, 3]: a number below 2^16, as dark and bright blocks; the right edge continues in the left one.

    Stripes keep edges of one brightness from looking like bars.
    """
    bits = np.array([(number >> bit) & 1 for bit in range(16)], np.uint8).reshape(4, 4)
    half = 40 + np.kron(bits, np.full((HEIGHT // 4, BLOCK), 175, np.uint8))
    half[np.arange(HEIGHT) % 16 < 8] += 40
    return np.repeat(np.concatenate([half, half[:, ::-1]], axis=1)[..., None], 3, axis=2)


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    """Numbers of frames [F, H, W, 3]."""
    half = np.asarray(frames)[:, :, : WIDTH // 2, 0].reshape(len(frames), 4, HEIGHT // 4, 4, BLOCK).mean((2, 4)) > 127
    return [int(number) for number in (half.reshape(len(frames), 16) << np.arange(16)).sum(1)]


def make_clip(
    folder: Path,
    rng: np.random.Generator,
    *,
    container: str,
    video_codec: str,
    sound_codec: str,
    beside: str | None,
    video_start: float,
    sound_start: float,
    seconds: float,
    fps: int,
    rate: int,
) -> Made:
    """Writes a clip.

    Args:
        folder: Folder to write to.
        rng: Draws the sound.
        container: Suffix of the video file.
        video_codec: FFmpeg's name of the encoder.
        sound_codec: FFmpeg's name of the encoder of sound within the video.
        beside: Suffix of the file with the sound; None: the sound is within the video.
        video_start: Timestamp of the first frame, seconds.
        sound_start: Timestamp of the first sample, seconds; 0 for sound beside.
        seconds: Duration.
        fps: Frames per second.
        rate: Sample rate, Hz.
    """
    direction = float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(-1.2, 1.2))
    samples = round(seconds * rate)
    noise = np.clip(rng.normal(0, 0.1, samples), -0.4, 0.4)
    azimuth, elevation = direction
    gains = [1, np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    scene = np.outer(gains, noise)
    video = folder / f"clip.{container}"
    # MP4 would round the start of the sound to this tick: it is at most a sample.
    options = {"movie_timescale": str(rate)} if container in ("mp4", "mov") else {}
    with av.open(str(video), "w", options=options) as file:
        picture = _add_video(file, video_codec, fps)
        heard = None if beside else _add_sound(file, sound_codec, rate)
        _write_video(file, picture, seconds, fps, video_start)
        if heard is not None:
            _write_sound(file, heard, scene, rate, sound_start)
    sound = video
    if beside:
        sound = folder / f"clip.{beside}"
        _write_beside(sound, scene, rate)
    zero = min(video_start, sound_start)
    return Made(video, sound, fps, seconds, video_start, sound_start, scene, rate, direction, zero)


def _add_video(file: OutputContainer, codec: str, fps: int) -> VideoStream:
    stream = file.add_stream(codec, rate=fps)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    stream.gop_size = 12
    stream.options = (
        {"preset": "ultrafast", "bf": "2"} if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8"}
    )
    stream.codec_context.time_base = Fraction(1, 90000)
    return stream


def _write_video(file: OutputContainer, stream: VideoStream, seconds: float, fps: int, start: float) -> None:
    for number in range(round(seconds * fps)):
        frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
        frame.time_base = Fraction(1, 90000)
        frame.pts = round((Fraction(start).limit_denominator(1000) + Fraction(number, fps)) * 90000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def _add_sound(file: OutputContainer, codec: str, rate: int) -> AudioStream:
    stream = file.add_stream(codec, rate=rate, layout="4.0")
    assert isinstance(stream, AudioStream)
    if codec in ("aac", "libopus"):
        stream.bit_rate = 1_024_000 if codec == "aac" else 512_000
    if codec == "aac":  # without substitutes for noise and for directions
        stream.codec_context.options = {"aac_pns": "0", "aac_is": "0", "aac_ms": "0"}
    if codec == "libopus":
        stream.codec_context.options = {"mapping_family": "255"}
    return stream


def _write_sound(
    file: OutputContainer, stream: AudioStream, scene: NDArray[np.float64], rate: int, start: float
) -> None:
    name = stream.codec_context.name
    block = BLOCKS[name]
    for begin in range(0, scene.shape[1], block):
        part = scene[:, begin : begin + block]
        form = {"aac": "fltp", "libopus": "flt", "alac": "s16p"}.get(name, "s16")
        values: Any = part.astype(np.float32) if form.startswith("flt") else np.round(part * 2**15).astype(np.int16)
        planes = values if form.endswith("p") else values.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format=form, layout="4.0")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), begin + round(start * rate)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def _write_beside(path: Path, scene: NDArray[np.float64], rate: int) -> None:
    if path.suffix == ".opus":
        with av.open(str(path), "w", format="ogg") as file:
            _write_sound(file, _add_sound(file, "libopus", rate), scene, rate, 0.0)
        return
    kind = {".ogg": "VORBIS", ".flac": "PCM_24"}.get(path.suffix, "FLOAT")
    soundfile.write(path, scene.T, rate, subtype=kind)
