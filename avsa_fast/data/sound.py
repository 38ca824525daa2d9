"""Sample-accurate random access to the sound of media files, without mixing of channels."""

from dataclasses import dataclass
from math import ceil, gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchaudio.functional import resample

from avsa_fast.data.container import decode_from, open_stream, seconds_of, start_of
from avsa_fast.errors import UserError

MAX_CHANNELS = 64
MIN_RATE, MAX_RATE = 4000, 384000
# Seconds that codecs with overlapping blocks (AAC, Opus) need after a seek until their output is correct.
PREROLL = 0.2
LOSSLESS = ("flac", "pcm_", "alac")  # name prefixes of codecs with independent blocks, which need no preroll
# Seconds; a file that ends earlier than its declared duration by more than this is reported as truncated.
TOLERANCE = 0.5
# Half the length of the resampling filter, in periods of the lower of the two rates.
FILTER_WIDTH = 24
# Maximum product of a resampling ratio's two terms; the filter bank has about as many coefficients.
MAX_RATIO = 4_000_000


@dataclass(frozen=True)
class SoundInfo:
    """Properties that a sound file declares.

    Attributes:
        seconds: Duration.
        rate: Sample rate, Hz.
        channels: Number of decoded channels.
        codec: FFmpeg's name of the codec.
        layout: FFmpeg's name of the declared channel layout, which is not reliable.
        start: Timestamp of the first sample, seconds.
    """

    seconds: float
    rate: int
    channels: int
    codec: str
    layout: str
    start: float = 0.0


def probe_sound(path: Path) -> SoundInfo:
    """Reads the properties of a sound file.

    Args:
        path: Sound or video file.

    Returns:
        The properties of its main audio stream.

    Raises:
        UserError: The file is unreadable, or its number of channels or sample rate is not supported.
    """
    with open_stream(path, "audio") as (container, stream):
        return _info(path, container, stream)


def read_sound(path: Path, centre: float, seconds: float = 1.0, rate: int = 24000) -> torch.Tensor:
    """Reads sound around a point in time, with the channels as decoded: their layout is never converted.

    Sample n is at `centre - seconds / 2 + n / rate`, to within half a sample. Samples before and after the file are
    zero.

    Args:
        path: Sound or video file.
        centre: Centre time, in seconds from the start of the file.
        seconds: Duration.
        rate: Sample rate in Hz that the sound is resampled to.

    Returns:
        float32 [C, round(seconds * rate)].

    Raises:
        UserError: The file is unreadable, truncated, or holds samples that are not finite, or the ratio of the two
            rates is too complex.
    """
    with open_stream(path, "audio") as (container, stream):
        info = _info(path, container, stream)
        up, down = rate // gcd(rate, info.rate), info.rate // gcd(rate, info.rate)
        if up * down > MAX_RATIO:
            raise UserError(f"{path}: {info.rate} Hz has no simple ratio to {rate} Hz; convert the file first")
        first, count = round((centre - seconds / 2) * rate), round(seconds * rate)
        # Input and output samples coincide every `down` input samples, which are `up` output samples.
        margin = ceil((FILTER_WIDTH + 1) * max(up, down) / up / down) if info.rate != rate else 0
        begin, end = first // up - margin, -((first + count) // -up) + margin
        sound = torch.from_numpy(_decode(path, container, stream, info, begin * down, end * down))
    if info.rate != rate:
        sound = resample(
            sound, info.rate, rate, lowpass_filter_width=FILTER_WIDTH, resampling_method="sinc_interp_kaiser"
        )
    sound = sound[:, first - begin * up :][:, :count].contiguous()
    if not sound.isfinite().all():
        raise UserError(f"{path}: samples around {centre:.2f} s are not finite")
    return sound


def read_overview(path: Path, windows: int = 12, seconds: float = 5.0) -> torch.Tensor:
    """Reads a short recording completely, or evenly spaced windows of a long one.

    Args:
        path: Sound or video file.
        windows: Number of windows of a long recording.
        seconds: Duration of a window.

    Returns:
        float32 [C, T] at the file's sample rate, with T at most windows * seconds * rate.

    Raises:
        UserError: As for `read_sound`.
    """
    info = probe_sound(path)
    if info.seconds <= windows * seconds:
        return read_sound(path, info.seconds / 2, info.seconds, info.rate)
    centres = [(i + 0.5) / windows * info.seconds for i in range(windows)]
    return torch.cat([read_sound(path, centre, seconds, info.rate) for centre in centres], dim=1)


def _info(path: Path, container: Any, stream: Any) -> SoundInfo:
    """Properties of an open audio stream. Raises UserError if they are not supported."""
    context, seconds = stream.codec_context, seconds_of(container, stream)
    if not 1 <= context.channels <= MAX_CHANNELS:
        raise UserError(f"{path}: {context.channels} channels; 1 to {MAX_CHANNELS} are supported")
    if not MIN_RATE <= context.rate <= MAX_RATE:
        raise UserError(f"{path}: a sample rate of {context.rate} Hz; {MIN_RATE} to {MAX_RATE} are supported")
    if seconds <= 0:
        raise UserError(f"{path}: a sound file with no samples")
    start = float((stream.start_time or 0) * stream.time_base)
    return SoundInfo(seconds, context.rate, context.channels, context.name, context.layout.name, start)


def _decode(path: Path, container: Any, stream: Any, info: SoundInfo, begin: int, end: int) -> np.ndarray:
    """Decodes samples begin .. end - 1, counted from the file's start at its own rate: float32 [C, end - begin]."""
    sound = np.zeros((info.channels, end - begin), np.float32)
    if end <= 0 or begin >= info.seconds * info.rate:
        return sound
    start = start_of(container)
    tick = ceil(stream.time_base * info.rate)  # timestamps may be coarser than samples
    position: int | None = None
    preroll = 0.0 if info.codec.startswith(LOSSLESS) else PREROLL
    for frame in decode_from(container, stream, [start + begin / info.rate - preroll]):
        stamp = round((frame.time - start) * info.rate)
        first = stamp if position is None or abs(stamp - position) > tick else position
        position = first + frame.samples
        if first >= end:
            break
        low, high = max(first, begin), min(position, end)
        if low < high:
            sound[:, low - begin : high - begin] = _samples(path, frame, info)[:, low - first : high - first]
    if (position or 0) / info.rate + TOLERANCE < min(end / info.rate, info.seconds):
        raise UserError(f"{path}: no sound can be decoded after {(position or 0) / info.rate:.2f} s; is it truncated?")
    return sound


def _samples(path: Path, frame: Any, info: SoundInfo) -> np.ndarray:
    """Samples of a decoded frame, float32 [C, n]; integer formats are scaled to [-1, 1)."""
    if (len(frame.layout.channels), frame.sample_rate) != (info.channels, info.rate):
        raise UserError(f"{path}: changes its channels or sample rate at {frame.time:.2f} s")
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, info.channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float32)
