"""The video track and the audio track of a file that are read: which ones, their properties, and their true lengths."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from avsa_fast.errors import ClipError, UserError

from .container import MAX_HEIGHT, MAX_WIDTH, configure, decode_from, open_file, reading
from .sound_layouts import SpatialSound
from .spherical_metadata import SphericalMetadata
from .track_lengths import TrackLengths, start_of

MAX_SECONDS = 24 * 3600
MAX_CHANNELS = 64
MIN_RATE, MAX_RATE = 4000, 384000
SAMPLE_RATE = 24000  # Hz; of the sound that encoders take
# Maximum product of a resampling ratio's two terms; the filter bank has about as many coefficients.
MAX_RATIO = 4_000_000
# By the first entries of a display matrix.
QUARTER_TURNS = {(1, 0, 0, 1): 0, (0, -1, 1, 0): 1, (-1, 0, 0, -1): 2, (0, 1, -1, 0): 3}
# Sample entries of sound that FFmpeg presents as several mono and stereo tracks.
SCENE_CODECS = {b"iamf": "IAMF"}


@dataclass(frozen=True)
class VideoTrack:
    """A video track, as it is read.

    Attributes:
        path: File.
        stream: Number of the stream in the file.
        seconds: Duration, from the start of the first frame to the end of the last one.
        fps: Mean frame rate, Hz.
        width: Width of the frames as displayed, pixels.
        height: Height of the frames as displayed, pixels.
        start: Timestamp of the first frame, seconds.
        zero: Timestamp, in seconds, from which times are counted.
        turns: Quarter turns, counter-clockwise, from the stored to the displayed frames.
    """

    path: Path
    stream: int
    seconds: float
    fps: float
    width: int
    height: int
    start: float = 0.0
    zero: float = 0.0
    turns: int = 0

    @property
    def end(self) -> float:
        """Time at which the last frame ends, in seconds from `zero`."""
        return self.start + self.seconds - self.zero


@dataclass(frozen=True)
class SoundTrack:
    """An audio track, as it is read.

    Attributes:
        path: File.
        stream: Number of the stream in the file.
        seconds: Duration.
        rate: Sample rate, Hz.
        channels: Number of decoded channels.
        codec: FFmpeg's name of the codec.
        layout: FFmpeg's name of the declared channel layout, which is not reliable.
        start: Timestamp of the first sample, seconds.
        zero: Timestamp, in seconds, from which times are counted.
        first_block: Samples in the first block, if timestamps are coarser than samples and all other blocks have the
            same length; else 0.
        block: Samples in each other block; else 0.
    """

    path: Path
    stream: int
    seconds: float
    rate: int
    channels: int
    codec: str
    layout: str
    start: float = 0.0
    zero: float = 0.0
    first_block: int = 0
    block: int = 0

    @property
    def end(self) -> float:
        """Time after the last sample, in seconds from `zero`."""
        return self.start + self.seconds - self.zero


@dataclass(frozen=True)
class Tracks:
    """The tracks of a file that are read.

    Attributes:
        video: Video track; None: there is none, or it is not wanted.
        sound: Audio track; None: there is none, or it is not wanted.
        declared: Ambisonic layout that the file declares for the audio track.
        passed_over: One line for each track that is passed over for another one.
    """

    video: VideoTrack | None = None
    sound: SoundTrack | None = None
    declared: SpatialSound | None = None
    passed_over: tuple[str, ...] = ()


def find_tracks(path: Path, metadata: SphericalMetadata, *, video: bool = True, sound: bool = True) -> Tracks:
    """Chooses the tracks of a file that are read, and determines their properties.

    Of several audio tracks, one that the file declares ambisonic is preferred, then one with at least four channels,
    then the one that FFmpeg prefers.

    Args:
        path: Media file.
        metadata: Its spherical metadata.
        video: Whether a video track is wanted.
        sound: Whether an audio track is wanted.

    Returns:
        The tracks.

    Raises:
        ClipError: The file is unreadable, or a track is not supported or cannot be chosen.
        UserError: The file is missing, or a track has no frames or samples.
    """
    kind = "media" if video and sound else "video" if video else "sound"
    with reading(path, kind), open_file(path, kind) as container:
        lines: list[str] = []
        chosen_video = _choose_video(path, container.streams.video, lines) if video else None
        chosen_sound = _choose_sound(path, container, metadata, lines) if sound else None
        chosen = [stream for stream in (chosen_video, chosen_sound) if stream is not None]
        for stream in chosen:
            configure(stream)
        lengths = TrackLengths(path, container, chosen)
        return Tracks(
            _video_track(path, container, chosen_video, lengths) if chosen_video is not None else None,
            _sound_track(path, container, chosen_sound, lengths) if chosen_sound is not None else None,
            metadata.sounds.get(chosen_sound.id) if chosen_sound is not None else None,
            tuple(lines),
        )


def _choose_video(path: Path, streams: Iterable[Any], lines: list[str]) -> Any | None:
    """The video stream with the most pixels; None if there is none. FFmpeg presents cover pictures as video streams."""
    decoded = [s for s in streams if s.codec_context is not None and Disposition.attached_pic not in s.disposition]
    if not decoded:
        return None
    by_size = sorted(decoded, key=lambda s: -s.codec_context.width * s.codec_context.height)
    sizes = [f"{s.codec_context.width}×{s.codec_context.height}" for s in by_size]
    if len(by_size) > 1 and sizes[0] == sizes[1]:
        raise ClipError(
            "refused",
            f"{path}: two video tracks of {sizes[0]} pixels, as in cameras' own files (GoPro .360, Insta360 .insv); "
            "export an equirectangular video with the camera's software",
        )
    lines += [f"{path}: video track {s.index} ({size} pixels) is passed over" for s, size in
              zip(by_size[1:], sizes[1:], strict=True)]  # fmt: skip
    return by_size[0]


def _choose_sound(path: Path, container: Any, metadata: SphericalMetadata, lines: list[str]) -> Any | None:
    """The audio stream to read; None if there is none that can be decoded."""
    for codec in metadata.codecs.values():
        if codec in SCENE_CODECS:
            raise ClipError(
                "refused", f"{path}: {SCENE_CODECS[codec]} sound, which is not read; decode it to ambisonics first"
            )
    streams = list(container.streams.audio)
    decoded = [s for s in streams if s.codec_context is not None]
    if not decoded:
        if streams:
            raise ClipError("refused", f"{path}: no decoder for its sound")
        return None
    preferred = container.streams.best("audio")

    def rank(stream: Any) -> tuple[bool, bool, bool, int]:
        ambisonic = stream.id in metadata.sounds or stream.codec_context.layout.name.startswith("ambisonic")
        return not ambisonic, stream.codec_context.channels < 4, stream is not preferred, stream.index

    ranked = sorted(decoded, key=rank)
    if len(ranked) > 1 and rank(ranked[0])[:2] == rank(ranked[1])[:2] == (True, False):
        raise ClipError(
            "ambiguous",
            f"{path}: audio tracks {ranked[0].index} and {ranked[1].index} both have four channels or more, and "
            "neither is declared ambisonic; extract the ambisonic one to a file of the same name beside the video",
        )
    lines += [f"{path}: audio track {s.index} ({_named(s)}) is passed over for track {ranked[0].index} "
              f"({_named(ranked[0])})" for s in streams if s is not ranked[0]]  # fmt: skip
    return ranked[0]


def _named(stream: Any) -> str:
    """Codec and channels of an audio stream."""
    context = stream.codec_context
    return f"{context.name}, {context.channels} channels" if context is not None else "no decoder"


def _video_track(path: Path, container: Any, stream: Any, lengths: TrackLengths) -> VideoTrack:
    """Properties of a video stream, after decoding its first frame."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if not (0 < width <= MAX_WIDTH and 0 < height <= MAX_HEIGHT):
        raise ClipError(
            "refused", f"{path}: {width}×{height} pixels; videos up to {MAX_WIDTH}×{MAX_HEIGHT} are supported"
        )
    start = start_of(container, stream)
    seconds, fps = lengths.seconds(stream, start), lengths.rate(stream)
    if seconds <= 0 or not fps:
        raise UserError(f"{path}: a video with no frames")
    if seconds > MAX_SECONDS:
        raise ClipError(
            "refused",
            f"{path}: {seconds / 3600:.0f} hours long; videos up to {MAX_SECONDS / 3600:.0f} hours are supported",
        )
    frame = next(decode_from(container, stream, [0.0]), None)
    if frame is None:
        raise UserError(f"{path}: a video with no frames")
    turns = _turns(path, frame)
    if turns % 2:
        width, height = height, width
    return VideoTrack(path, stream.index, seconds, fps, width, height, start, turns=turns)


def _turns(path: Path, frame: Any) -> int:
    """Quarter turns, counter-clockwise, that a frame's display matrix asks for."""
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return 0
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    scale = max(abs(a), abs(b), 1)
    key = tuple(round(value / scale) for value in (a, b, c, d))
    if key not in QUARTER_TURNS:
        raise ClipError("refused", f"{path}: its display matrix mirrors or tilts the picture; re-encode the video")
    return QUARTER_TURNS[key]


def _sound_track(path: Path, container: Any, stream: Any, lengths: TrackLengths) -> SoundTrack:
    """Properties of an audio stream."""
    context = stream.codec_context
    if not 1 <= context.channels <= MAX_CHANNELS:
        raise UserError(f"{path}: {context.channels} channels; 1 to {MAX_CHANNELS} are supported")
    if not MIN_RATE <= context.rate <= MAX_RATE:
        raise UserError(f"{path}: a sample rate of {context.rate} Hz; {MIN_RATE} to {MAX_RATE} are supported")
    ratio_terms(path, context.rate, SAMPLE_RATE)
    start = start_of(container, stream)
    seconds = lengths.seconds(stream, start)
    if seconds <= 0:
        raise UserError(f"{path}: a sound file with no samples")
    blocks = _blocks(container, stream) if stream.time_base > Fraction(1, context.rate) else (0, 0)
    name, layout = context.name, context.layout.name
    return SoundTrack(path, stream.index, seconds, context.rate, context.channels, name, layout, start, 0.0, *blocks)


def ratio_terms(path: Path, rate: int, wanted: int) -> tuple[int, int]:
    """Returns the terms of the ratio by which sound is resampled.

    Args:
        path: File, for messages.
        rate: Its sample rate in Hz.
        wanted: Sample rate to convert to, in Hz.

    Returns:
        Factors by which the rate is multiplied and divided.

    Raises:
        ClipError: The ratio is too complex.
    """
    up, down = wanted // gcd(rate, wanted), rate // gcd(rate, wanted)
    if up * down > MAX_RATIO:
        raise ClipError("refused", f"{path}: {rate} Hz has no simple ratio to {wanted} Hz; convert the file first")
    return up, down


def _blocks(container: Any, stream: Any) -> tuple[int, int]:
    """Samples in the first block and in each other one; zeros if the blocks after the first differ or are too few."""
    frames = [frame for frame, _ in zip(decode_from(container, stream, [0.0]), range(4), strict=False)]
    sizes = [frame.samples for frame in frames]
    return (sizes[0], sizes[1]) if len(sizes) == 4 and sizes[1] == sizes[2] == sizes[3] else (0, 0)
