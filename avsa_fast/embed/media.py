"""Media files to embed: 360° and flat video; ambisonic, stereo and mono sound."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from avsa_fast.data.channels import AMBISONIC_CHANNELS, channel_map, check_channels, is_fuma, to_ambisonic
from avsa_fast.data.media_formats import SOUND_SUFFIXES
from avsa_fast.data.samples import SAMPLE_RATE
from avsa_fast.data.sound import probe_sound, read_overview, read_sound
from avsa_fast.data.video import VideoInfo, probe_video
from avsa_fast.data.views import MEAN, STD
from avsa_fast.errors import ClipError, UserError
from avsa_fast.run import Modality

ProjectionChoice = Literal["auto", "erp", "flat"]


@dataclass(frozen=True)
class Media:
    """A file with video, sound or both.

    Attributes:
        path: Path of the file.
        video_seconds: Duration of the video in seconds; None if there is none.
        flat: Whether the video is not a 360° video.
        sound_seconds: Duration of the sound in seconds; None if there is none.
        channels: Indices of W, Y, Z, X among the decoded channels; empty for stereo and mono.
    """

    path: Path
    video_seconds: float | None
    flat: bool
    sound_seconds: float | None
    channels: list[int]

    @property
    def modalities(self) -> list[Modality]:
        """Modalities that the file has."""
        durations: dict[Modality, float | None] = {"video": self.video_seconds, "audio": self.sound_seconds}
        return [modality for modality, seconds in durations.items() if seconds is not None]

    def seconds(self, modality: Modality) -> float:
        """Returns the duration of a modality in seconds.

        Args:
            modality: A modality that the file has.
        """
        seconds = self.video_seconds if modality == "video" else self.sound_seconds
        assert seconds is not None
        return seconds

    def directional(self, modality: Modality) -> bool:
        """Returns whether a modality can be viewed in any direction (360° video, ambisonic sound).

        Args:
            modality: A modality that the file has.
        """
        return not self.flat if modality == "video" else bool(self.channels)


def probe_media(path: Path, picture: ProjectionChoice = "auto", channels: Sequence[int] | None = None) -> Media:
    """Detects what a file contains.

    Args:
        path: Video or sound file.
        picture: Projection of the video; "auto" assumes ERP if it is exactly twice as wide as high.
        channels: Indices of W, Y, Z and X among the decoded channels. Default: detected.

    Returns:
        Durations, projection and channel map.

    Raises:
        UserError: If the file cannot be used.
    """
    video_seconds, flat, sound_seconds, mapping = None, True, None, []
    video = None if path.suffix.lower() in SOUND_SUFFIXES else _probe_picture(path, picture)
    if video is not None:
        video_seconds = video.seconds
        flat = picture == "flat" or (picture == "auto" and video.width != 2 * video.height)
    if video is None or _has_sound(path):
        sound = probe_sound(path)
        sound_seconds = sound.seconds
        if channels is not None:
            mapping = check_channels(path, sound, channels)
        elif sound.channels > 2:
            # For other counts, the order is detected from the channels that are silent.
            known = sound.channels in AMBISONIC_CHANNELS
            mapping = channel_map(path, sound, torch.zeros(sound.channels, 1) if known else read_overview(path))
    return Media(path, video_seconds, flat, sound_seconds, mapping)


def _probe_picture(path: Path, picture: ProjectionChoice) -> VideoInfo | None:
    """Properties of a file's video; None if it has none, whatever its suffix."""
    try:
        return probe_video(path, flat=picture != "erp")
    except ClipError as error:
        if error.state != "incomplete":
            raise
        return None


def _has_sound(path: Path) -> bool:
    """Whether the file has a readable sound stream."""
    try:
        probe_sound(path)
    except UserError:
        return False
    return True


def read_scenes(media: Media, centres: Sequence[float], seconds: float) -> Iterator[Tensor]:
    """Reads sound around moments of a file as first-order ambisonics.

    Mono sound becomes W. Stereo is treated as a pair of cardioids facing left and right: W + Y = 2 L and
    W - Y = 2 R, so that the stereo view reproduces it.

    Args:
        media: File with sound.
        centres: Moments in seconds.
        seconds: Duration around each moment.

    Yields:
        float32 [4, seconds * 24000], W, Y, Z, X at 24 kHz; zeros before and after the file.

    Raises:
        UserError: If the file is damaged.
    """
    for centre in centres:
        sound = read_sound(media.path, centre, seconds, SAMPLE_RATE)
        if media.channels:
            yield to_ambisonic(sound, media.channels, fuma=is_fuma(media.path))
        elif len(sound) == 2:
            left, right = sound
            yield torch.stack([left + right, left - right, torch.zeros_like(left), torch.zeros_like(left)])
        else:
            yield to_ambisonic(sound, [])


def flat_crops(frames: Tensor, size: int) -> Tensor:
    """Converts flat frames to an encoder input: scales the shorter side to `size` pixels and crops the centre.

    Args:
        frames: uint8 [F, H, W, 3], RGB.
        size: Side of the crop in pixels.

    Returns:
        float32 [1, 3, F, size, size], normalised like crops of 360° video.
    """
    height, width = frames.shape[1:3]
    scale = size / min(height, width)
    shape = (max(size, round(height * scale)), max(size, round(width * scale)))
    images = frames.permute(0, 3, 1, 2).float() / 255
    images = interpolate(images, shape, mode="bilinear", antialias=True)
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    images = images[:, :, top : top + size, left : left + size]
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((images - mean) / std).transpose(0, 1)[None]
