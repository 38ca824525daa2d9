"""Benchmarks the input pipeline from files to views: training's own and a straightforward one, on one core.

python benchmarks/bench_training.py VIDEO SOUND [--device cuda] [--json benchmarks/results/training-cpu.json]

Both pipelines produce 4 crops of 112 x 112 of 8 frames and their log-mel and intensity features. The straightforward
one follows the description of AVSpatialAlignment's: PyAV opens the file for each sample, NumPy projects each frame and
crop, and librosa computes mel spectrograms for each view.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from avsa_fast.data.batches import batch_of
from avsa_fast.data.describe import Overrides, describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.samples import Sample
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.data.views import MEAN, STD, ViewConfig, make_crops, make_features
from avsa_fast.prepare import PrepareOptions, prepare
from avsa_fast.train.feed import CHUNK

try:
    import librosa
    from librosa.feature import melspectrogram
    from librosa.filters import mel
except ImportError as error:
    sys.exit(f"bench_training: {error}; pip install '.[bench]' installs the peers")

VIEWS, FRAMES, FPS, SIZE = 4, 8, 16.0, 112
SECONDS = 1.0
CONFIG = ViewConfig()
MAP = [2, 1, 4, 0]  # positions of W Y Z X among YouTube's six channels; transcoded files have them in order


class Clock:
    """Accumulates seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Context manager that adds the block's duration to `name`."""
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began


def draw(rng: np.random.Generator, seconds: float) -> dict[str, Any]:
    """Draws a sample's moment and augmentation.

    Args:
        rng: Random number generator.
        seconds: Duration of the clip.

    Returns:
        "moment" in seconds, and "directions", "fov", "flip" and "jitter" as in `Sample`.
    """
    quadrants = -np.pi + np.pi / 2 * (np.arange(VIEWS) + rng.random(VIEWS))
    return {
        "moment": rng.uniform(SECONDS / 2, seconds - SECONDS / 2),
        "directions": np.stack([quadrants, rng.uniform(-np.pi / 6, np.pi / 6, VIEWS)], 1).astype(np.float32),
        "fov": np.radians(rng.uniform(45, 90, VIEWS)).astype(np.float32),
        "flip": rng.random(VIEWS) < 0.5,
        "jitter": (np.array([1, 1, 1, 0]) + rng.uniform(-1, 1, (VIEWS, 4)) * [0.4, 0.4, 0.4, 0.2]).astype(np.float32),
    }


def ours(
    video: Path, sound: Path, channels: Sequence[int], draws: list[dict[str, Any]], clock: Clock, device: torch.device,
    *, jitter: bool = True,
) -> None:  # fmt: skip
    """Processes all samples with training's functions, in chunks as training does.

    Args:
        video: Video file.
        sound: Sound file.
        channels: Positions of W, Y, Z, X among the file's channels.
        draws: Moment and augmentation per sample, from `draw`.
        clock: Receives the time of each stage.
        device: Device that computes the views.
        jitter: Whether colours are jittered.
    """
    reader = opened(video, sound, tuple(channels))
    for first in range(0, len(draws), CHUNK):
        samples = []
        for chosen in draws[first : first + CHUNK]:
            moment = chosen["moment"]
            with clock.time("video decode"):
                frames = (reader.planes if device.type == "cuda" else reader.frames)(moment, FRAMES, FPS, 512)
            with clock.time("sound decode"):
                heard = reader.scene(moment, SECONDS)
            fields = {name: chosen[name] for name in ("directions", "fov", "flip")}
            fields["jitter"] = chosen["jitter"] if jitter else None
            samples.append(Sample(name="", projection="erp", frames=frames, sound=heard, failures={}, **fields))
        with clock.time("collate"):
            batch = batch_of(samples)
        with clock.time("crops"):
            make_crops(batch, CONFIG, device)
        with clock.time("features"):
            make_features(batch, CONFIG, device)
        if device.type == "cuda":
            torch.cuda.synchronize()


@lru_cache(maxsize=2)
def opened(video: Path, sound: Path, channels: tuple[int, ...]) -> MediaReader:
    """Reader of an ERP video and its sound, whose file has W, Y, Z, X at these positions."""
    return MediaReader(describe(video, sound, Overrides(channels, projection="erp")))


def straightforward(
    video: Path, sound: Path, channels: Sequence[int], draws: list[dict[str, Any]], clock: Clock, device: torch.device
) -> None:
    """Processes all samples one by one, without jitter; arguments as for `ours`, `device` is ignored."""
    for chosen in draws:
        moment = chosen["moment"]
        with clock.time("video decode"):
            frames = decode_frames(video, moment)
        with clock.time("sound decode"):
            signal = decode_sound(sound, moment)[channels]
        with clock.time("crops"):
            for direction, fov, flip in zip(chosen["directions"], chosen["fov"], chosen["flip"], strict=True):
                crop = np.stack([project(frame, direction[0], direction[1], fov) for frame in frames])
                crop = crop[:, :, ::-1] if flip else crop
                ((crop.astype(np.float32) / 255 - MEAN) / STD).astype(np.float32).transpose(3, 0, 1, 2).copy()
        with clock.time("features"):
            for direction, flip in zip(chosen["directions"], chosen["flip"], strict=True):
                mel_and_intensity(rotated(signal, direction[0], direction[1], flip))


def decode_frames(path: Path, moment: float) -> list[np.ndarray]:
    """Decodes FRAMES RGB frames at FPS, centred on a moment in seconds; each [H, W, 3] uint8."""
    wanted = [moment + (i - (FRAMES - 1) / 2) / FPS for i in range(FRAMES)]
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.time_base is not None
        container.seek(int(max(wanted[0], 0) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time >= wanted[len(frames)]:
                image = frame.to_ndarray(format="rgb24")
                while len(frames) < FRAMES and frame.time >= wanted[len(frames)]:
                    frames.append(image)
            if len(frames) == FRAMES:
                break
    return frames + [frames[-1]] * (FRAMES - len(frames))


def decode_sound(path: Path, moment: float) -> np.ndarray:
    """Decodes SECONDS of sound centred on a moment in seconds: [channels, T] at SAMPLE_RATE."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        begin, rate = moment - SECONDS / 2, stream.rate
        assert stream.time_base is not None
        container.seek(int(max(begin, 0) / stream.time_base), stream=stream)
        parts: list[np.ndarray] = []
        first: float | None = None
        for frame in container.decode(stream):
            assert frame.time is not None
            first = frame.time if first is None else first
            samples = frame.to_ndarray()
            parts.append(samples if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels)).T)
            if frame.time + frame.samples / rate >= begin + SECONDS:
                break
    signal: np.ndarray = np.concatenate(parts, 1)
    start = max(0, round((begin - (first or 0)) * rate))
    signal = signal[:, start : start + round(SECONDS * rate)]
    signal = signal / 32768 if signal.dtype.kind == "i" else signal
    return signal if rate == SAMPLE_RATE else librosa.resample(signal, orig_sr=rate, target_sr=SAMPLE_RATE)


def project(frame: np.ndarray, azimuth: float, elevation: float, fov: float) -> np.ndarray:
    """Computes a bilinear gnomonic crop of one frame [H, W, 3]; angles in radians. Returns [SIZE, SIZE, 3]."""
    H, W = frame.shape[:2]
    focal = SIZE / 2 / np.tan(fov / 2)
    z, y = np.meshgrid(*[-(np.arange(SIZE) + 0.5 - SIZE / 2) / focal] * 2, indexing="ij")
    x = np.cos(elevation) - np.sin(elevation) * z
    z = np.sin(elevation) + np.cos(elevation) * z
    u = (0.5 - (np.arctan2(y, x) + azimuth) / (2 * np.pi)) * W - 0.5
    v = np.clip((0.5 - np.arctan2(z, np.hypot(x, y)) / np.pi) * H - 0.5, 0, H - 1)
    u0, v0 = np.floor(u).astype(int), np.floor(v).astype(int)
    du, dv = (u - u0)[..., None], (v - v0)[..., None]
    u0, u1, v1 = u0 % W, (u0 + 1) % W, np.minimum(v0 + 1, H - 1)
    top = frame[v0, u0] * (1 - du) + frame[v0, u1] * du
    bottom = frame[v1, u0] * (1 - du) + frame[v1, u1] * du
    return top * (1 - dv) + bottom * dv


def rotated(signal: np.ndarray, azimuth: float, elevation: float, flip: bool) -> np.ndarray:
    """Rotates FOA [4, T] (W Y Z X) so that a direction (radians) is in front, and mirrors left and right if `flip`."""
    w, y, z, x = signal
    x, y = np.cos(azimuth) * x + np.sin(azimuth) * y, np.cos(azimuth) * y - np.sin(azimuth) * x
    x, z = np.cos(elevation) * x + np.sin(elevation) * z, np.cos(elevation) * z - np.sin(elevation) * x
    return np.stack([w, -y if flip else y, z, x])


def mel_and_intensity(signal: np.ndarray) -> np.ndarray:
    """Computes log-mel of W Y Z X and the intensity vector of FOA [4, T]: [7, n_mels, n_frames]."""
    options = {"n_fft": CONFIG.n_fft, "hop_length": CONFIG.hop_length}
    spectra = [librosa.stft(channel, center=False, **options) for channel in signal]
    mels = [
        melspectrogram(y=channel, sr=SAMPLE_RATE, center=False, n_mels=CONFIG.n_mels, **options) for channel in signal
    ]
    w, y, z, x = spectra
    bank = mel(sr=SAMPLE_RATE, n_fft=CONFIG.n_fft, n_mels=CONFIG.n_mels)
    energy = sum(np.abs(spectrum) ** 2 for spectrum in spectra) + 1e-12
    intensity = [bank @ (2 * np.real(np.conj(w) * axis) / energy) for axis in (x, y, z)]
    return np.concatenate([np.log(np.maximum(mels, 1e-10)), intensity])


def transcoded(video: Path, sound: Path, channels: Sequence[int], folder: Path) -> tuple[Path, Path]:
    """Transcodes a clip as `prepare --transcode` does: 16 frames per second in short GOPs, 24 kHz FLAC of W Y Z X.

    Args:
        video: Video file.
        sound: Sound file.
        channels: Positions of W, Y, Z, X among the file's channels.
        folder: Scratch folder.

    Returns:
        The transcoded video and sound files.
    """
    source, target = folder / "source", folder / "target"
    for kind, file in (("video", video), ("audio", sound)):
        (source / kind).mkdir(parents=True)
        (source / kind / f"clip{file.suffix}").symlink_to(file.resolve())
    prepare(source, target, PrepareOptions(detector=None, transcode=True, channels=tuple(channels)), progress=False)
    return target / "video" / "clip.mp4", target / "audio" / "clip.flac"


def measure(
    pipeline: Callable[..., None], video: Path, sound: Path, channels: Sequence[int], count: int, device: torch.device
) -> dict[str, Any]:
    """Measures a pipeline, best of three rounds with different moments.

    Args:
        pipeline: `ours` or `straightforward`.
        video: Video file.
        sound: Sound file.
        channels: Positions of W, Y, Z, X among the file's channels.
        count: Samples per round.
        device: Device that computes the views.

    Returns:
        "samples_per_second", and "ms": milliseconds per sample by stage.
    """
    rng = np.random.default_rng(0)
    seconds = opened(video, sound, tuple(channels)).video.seconds
    pipeline(video, sound, channels, [draw(rng, seconds) for _ in range(8)], Clock(), device)
    rounds = []
    for _ in range(3):
        draws, clock, began = [draw(rng, seconds) for _ in range(count)], Clock(), time.perf_counter()
        pipeline(video, sound, channels, draws, clock, device)
        rounds.append((count / (time.perf_counter() - began), clock))
    rate, clock = max(rounds, key=lambda round: round[0])
    parts = {name: 1e3 * value / count for name, value in clock.seconds.items()}
    return {"samples_per_second": rate, "ms": parts}


def show(title: str, measured: dict[str, Any]) -> None:
    """Prints one line of results."""
    parts = ", ".join(f"{part} {ms:.1f}" for part, ms in measured["ms"].items())
    print(f"  {title:<18} {measured['samples_per_second']:6.1f} samples/s; ms per sample: {parts}", flush=True)


def main() -> None:
    """Measures both pipelines on the original files and on transcoded ones, on one core."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--channels", type=int, nargs=4, default=MAP)
    parser.add_argument("--count", type=int, default=32, help="samples per round")
    parser.add_argument(
        "--device",
        default="cpu",
        help="device that computes the views of avsa_fast; the straightforward pipeline runs on the CPU",
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(args.device)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        short = transcoded(args.video, args.sound, args.channels, Path(folder))
        baseline = 0.0
        for name, (video, sound), channels in (
            ("original", (args.video, args.sound), args.channels),
            ("transcoded", short, [0, 1, 2, 3]),
        ):
            peer = measure(straightforward, video, sound, channels, args.count // 2, torch.device("cpu"))
            baseline = baseline or peer["samples_per_second"]
            results[name] = {"straightforward": peer}
            print(f"{name} files")
            show("straightforward", peer)
            for title, jitter in (("avsa_fast", False), ("avsa_fast, jitter", True)):
                mine = measure(partial(ours, jitter=jitter), video, sound, channels, args.count, device)
                mine["ratio"] = mine["samples_per_second"] / peer["samples_per_second"]
                mine["ratio_to_original"] = mine["samples_per_second"] / baseline
                results[name][title] = mine
                show(title, mine)
                print(
                    f"    {mine['ratio']:.2f}x on the same files, {mine['ratio_to_original']:.2f}x on the original ones"
                )
    if args.json:
        facts = {"machine": platform.processor() or platform.machine(), "threads": 1, "device": args.device}
        args.json.write_text(json.dumps({**facts, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
