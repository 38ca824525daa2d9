"""Sample-accurate random access to the sound of media files, without mixing of channels."""

from math import ceil
from typing import Any

import numpy as np
import torch
from torchaudio.functional import resample

from avsa_fast.data.container import decode_from, open_stream
from avsa_fast.data.track_lengths import TOLERANCE
from avsa_fast.data.tracks import SoundTrack, ratio_terms
from avsa_fast.errors import UserError

# Seconds that codecs with overlapping blocks (AAC, Opus) need after a seek until their output is correct.
PREROLL = 0.2
LOSSLESS = ("flac", "pcm_", "alac")  # name prefixes of codecs with independent blocks, which need no preroll
# Half the length of the resampling filter, in periods of the lower of the two rates.
FILTER_WIDTH = 24


def read_sound(sound: SoundTrack, centre: float, seconds: float = 1.0, rate: int = 24000) -> torch.Tensor:
    """Reads sound around a point in time, with the channels as decoded: their layout is never converted.

    Sample n is at `centre - seconds / 2 + n / rate`, to within half a sample. Samples before and after the file are
    zero.

    Args:
        sound: Audio track.
        centre: Centre time, in seconds from the track's zero.
        seconds: Duration.
        rate: Sample rate in Hz that the sound is resampled to.

    Returns:
        float32 [C, round(seconds * rate)].

    Raises:
        UserError: The file is unreadable, truncated, or holds samples that are not finite, or the ratio of the two
            rates is too complex.
    """
    path = sound.path
    up, down = ratio_terms(path, sound.rate, rate)
    first, count = round((centre - seconds / 2) * rate), round(seconds * rate)
    # Input and output samples coincide every `down` input samples, which are `up` output samples.
    margin = ceil((FILTER_WIDTH + 1) * max(up, down) / up / down) if sound.rate != rate else 0
    begin, end = first // up - margin, -((first + count) // -up) + margin
    with open_stream(path, "sound", sound.stream) as (container, stream):
        samples = torch.from_numpy(_decode(sound, container, stream, begin * down, end * down))
    if sound.rate != rate:
        samples = resample(
            samples, sound.rate, rate, lowpass_filter_width=FILTER_WIDTH, resampling_method="sinc_interp_kaiser"
        )
    samples = samples[:, first - begin * up :][:, :count].contiguous()
    if not samples.isfinite().all():
        raise UserError(f"{path}: samples around {centre:.2f} s are not finite")
    return samples


def read_overview(sound: SoundTrack, windows: int = 12, seconds: float = 5.0) -> torch.Tensor:
    """Reads a short recording completely, or evenly spaced windows of a long one.

    Args:
        sound: Audio track.
        windows: Number of windows of a long recording.
        seconds: Duration of a window.

    Returns:
        float32 [C, T] at the file's sample rate, with T at most windows * seconds * rate.

    Raises:
        UserError: As for `read_sound`.
    """
    if sound.seconds <= windows * seconds:
        return read_sound(sound, sound.end - sound.seconds / 2, sound.seconds, sound.rate)
    centres = [sound.end - (1 - (i + 0.5) / windows) * sound.seconds for i in range(windows)]
    return torch.cat([read_sound(sound, centre, seconds, sound.rate) for centre in centres], dim=1)


def _decode(sound: SoundTrack, container: Any, stream: Any, begin: int, end: int) -> np.ndarray:
    """Decodes samples begin .. end - 1, counted from the track's zero at its own rate: float32 [C, end - begin]."""
    samples = np.zeros((sound.channels, end - begin), np.float32)
    if end <= 0 or begin >= sound.end * sound.rate:
        return samples
    tick = ceil(stream.time_base * sound.rate)  # timestamps may be coarser than samples
    position: int | None = None
    preroll = 0.0 if sound.codec.startswith(LOSSLESS) else PREROLL
    for frame in decode_from(container, stream, [sound.zero + begin / sound.rate - preroll]):
        stamp = _position(sound, round((frame.time - sound.zero) * sound.rate), tick)
        first = stamp if position is None or abs(stamp - position) > tick else position
        position = first + frame.samples
        if first >= end:
            break
        low, high = max(first, begin), min(position, end)
        if low < high:
            samples[:, low - begin : high - begin] = _samples(sound, frame)[:, low - first : high - first]
    if (position or 0) / sound.rate + TOLERANCE < min(end / sound.rate, sound.end):
        raise UserError(
            f"{sound.path}: no sound can be decoded after {(position or 0) / sound.rate:.2f} s; is it truncated?"
        )
    return samples


def _position(sound: SoundTrack, stamp: int, tick: int) -> int:
    """Position of a block by its timestamp; if that is rounded, the nearby start of one of the equally long blocks."""
    if not sound.block:
        return stamp
    begin = round((sound.start - sound.zero) * sound.rate)
    second = begin + sound.first_block
    nearest = second + round((stamp - second) / sound.block) * sound.block
    starts = (begin, nearest)
    best = min(starts, key=lambda start: abs(start - stamp))
    return best if abs(best - stamp) <= tick else stamp


def _samples(sound: SoundTrack, frame: Any) -> np.ndarray:
    """Samples of a decoded frame, float32 [C, n]; integer formats are scaled to [-1, 1)."""
    if (len(frame.layout.channels), frame.sample_rate) != (sound.channels, sound.rate):
        raise UserError(f"{sound.path}: changes its channels or sample rate at {frame.time:.2f} s")
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, sound.channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float32)
