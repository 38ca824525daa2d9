"""Files that embeddings are made of: 360° and flat video; ambisonic, stereo and mono sound."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from avsa_fast.data.channels import AMBISONIC_CHANNELS, channel_map, check_channels, is_fuma, to_ambisonic
from avsa_fast.data.samples import SAMPLE_RATE
from avsa_fast.data.sound import probe_sound, read_overview, read_sound
from avsa_fast.data.video import probe_video, read_windows
from avsa_fast.data.views import MEAN, STD
from avsa_fast.errors import UserError

VIDEO = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v")
SOUND = (".wav", ".flac", ".ogg", ".opus", ".m4a", ".mp3", ".amb", ".w64")
Picture = Literal["auto", "erp", "flat"]
Modality = Literal["video", "audio"]


@dataclass(frozen=True)
class Media:
    """A file with a picture, a sound or both; lengths in seconds, None for what it has not."""

    path: Path
    video_seconds: float | None
    flat: bool
    sound_seconds: float | None
    channels: list[int]  # decoded channels that are W, Y, Z, X; empty for stereo and mono

    @property
    def modalities(self) -> list[Modality]:
        lengths: dict[Modality, float | None] = {"video": self.video_seconds, "audio": self.sound_seconds}
        return [modality for modality, seconds in lengths.items() if seconds is not None]

    def seconds(self, modality: Modality) -> float:
        seconds = self.video_seconds if modality == "video" else self.sound_seconds
        assert seconds is not None
        return seconds

    def turns(self, modality: Modality) -> bool:
        """Whether there is more than one direction to look or listen in."""
        return not self.flat if modality == "video" else bool(self.channels)


def find_media(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, and of folders all files below with a known ending, sorted.

    Raises UserError naming a path that is neither, and where nothing is found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEO + SOUND and file.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"{path}: no such file or folder")
    if not found:
        raise UserError(f"no video or sound in these folders ({', '.join(VIDEO + SOUND)})")
    return list(dict.fromkeys(found))


def probe(path: Path, picture: Picture = "auto", channels: Sequence[int] | None = None) -> Media:
    """What a file holds. Without being told, a picture twice as wide as high is taken for an equirectangular one.

    channels: which decoded channels are W, Y, Z and X. Raises UserError naming the file where it cannot be used.
    """
    video_seconds, flat, sound_seconds, mapping = None, True, None, []
    if path.suffix.lower() not in SOUND:
        video = probe_video(path, flat=picture != "erp")
        video_seconds = video.seconds
        flat = picture == "flat" or (picture == "auto" and video.width != 2 * video.height)
    if path.suffix.lower() in SOUND or _has_sound(path):
        sound = probe_sound(path)
        sound_seconds = sound.seconds
        if channels is not None:
            mapping = check_channels(path, sound, channels)
        elif sound.channels > 2:
            # Others must be listened to: which channels are silent tells their order.
            known = sound.channels in AMBISONIC_CHANNELS
            mapping = channel_map(path, sound, torch.zeros(sound.channels, 1) if known else read_overview(path))
    return Media(path, video_seconds, flat, sound_seconds, mapping)


def _has_sound(path: Path) -> bool:
    try:
        probe_sound(path)
    except UserError:
        return False
    return True


def scenes(media: Media, centres: Sequence[float], seconds: float) -> Iterator[Tensor]:
    """Sound around moments: W, Y, Z, X, float32 [4, seconds * 24000], zeros before and after the file.

    Mono sound is W. A stereo pair is what cardioids to the left and right would hear, W ± Y = 2 L, 2 R, so that the
    stereo view gives it back.
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


def pictures(media: Media, centres: Sequence[float], frames: int, fps: float, max_height: int) -> Iterator[Tensor]:
    """Frames around moments, uint8 [frames, H, W, 3], decoded in one pass."""
    return read_windows(media.path, centres, frames, fps, max_height)


def flat_crops(frames: Tensor, size: int) -> Tensor:
    """Flat frames as a video encoder takes crops: scaled to `size` pixels on the shorter side, cut in the middle.

    frames: uint8 [F, H, W, 3]. Returns float32 [1, 3, F, size, size], normalised as crops of 360° video are.
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
