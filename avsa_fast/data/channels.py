"""From a file's decoded channels to first-order ambisonics (ACN order, SN3D): W, Y, Z, X."""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import torch

from avsa_fast.data.sound import SoundInfo, read_sound
from avsa_fast.data.spherical import SpatialSound
from avsa_fast.data.validity import silent_channels
from avsa_fast.errors import ClipError, UserError

ACN = [0, 1, 2, 3]
# W Y Z X as YouTube's encoder puts them into AAC's 5.1 (FL FR FC LFE BL BR); LFE and BR stay silent.
YOUTUBE, YOUTUBE_SILENT = [2, 1, 4, 0], [3, 5]
FUMA = [0, 2, 3, 1]  # W X Y Z, with W / sqrt 2
FUMA_CHANNELS = (4, 6, 8, 9, 11, 16)  # of .amb files whose fourth channel is Z; those of 3, 5 and 7 have no height
# Full ambisonics of orders 1 to 4; two more channels are head-locked stereo where the file is labelled ambisonic.
AMBISONIC_CHANNELS = (4, 9, 16, 25)


def is_fuma(path: Path) -> bool:
    """Whether a file's channels are in Furse-Malham order and gain: .amb files are."""
    return path.suffix.lower() == ".amb"


def channel_map(
    path: Path, info: SoundInfo, sound: torch.Tensor, stated: SpatialSound | None = None, *, fuma: bool | None = None
) -> list[int]:
    """Which decoded channels are W, Y, Z, X; empty where the sound has no direction (mono, stereo).

    `sound` [C, T] is enough of the recording to see which channels are silent (`read_overview`); `stated` is what the
    file's spatial metadata says; `fuma` whether the order is Furse-Malham's, where that is known besides `is_fuma`.
    Raises ClipError (ambiguous), naming --channels, where that does not settle it.
    """
    if info.channels <= 2:
        return []
    if stated and stated.normalisation != "SN3D":
        raise ClipError(
            "ambiguous",
            f"{path}: its metadata names an order or gains of channels that are not AmbiX; say which are W, Y, Z and X "
            "with --channels, and --gains if they are not SN3D",
        )
    if stated and stated.order >= 1 and len(stated.channels) == info.channels:
        return [stated.channels.index(number) for number in ACN]
    fuma = is_fuma(path) if fuma is None else fuma
    if fuma and info.channels in FUMA_CHANNELS:
        return FUMA
    if not fuma and info.channels in AMBISONIC_CHANNELS:
        return ACN
    if info.layout.startswith("ambisonic") and info.channels - 2 in AMBISONIC_CHANNELS:
        return ACN
    silent = silent_channels(sound)
    if info.channels == 6 and not fuma:
        if info.codec == "aac" and info.layout.startswith("5.1") and set(YOUTUBE_SILENT) <= set(silent):
            return YOUTUBE
        if not silent:
            return ACN
    raise ClipError(
        "ambiguous",
        f"{path}: {info.channels} channels ({info.codec}, labelled {info.layout}, silent: {silent or 'none'}) could be "
        "in more than one order; say which are W, Y, Z and X with --channels, as in --channels 0 1 2 3",
    )


def check_channels(path: Path, info: SoundInfo, channels: Sequence[int]) -> list[int]:
    """A channel map given by the user. Raises ClipError where the file has no such channels."""
    if len(channels) != 4 or len(set(channels)) != 4 or not all(0 <= c < info.channels for c in channels):
        raise ClipError(
            "ambiguous",
            f"{path}: --channels {' '.join(map(str, channels))} does not name four different channels "
            f"of its {info.channels} (counted from 0)",
        )
    return list(channels)


def to_ambisonic(
    sound: torch.Tensor, channel_map: Sequence[int], *, fuma: bool = False, n3d: bool = False
) -> torch.Tensor:
    """Decoded channels [C, T] to W, Y, Z, X [4, T] by a channel map.

    An empty map (sound without direction) puts the mean of the channels into W and zeros elsewhere.
    `fuma` raises W by sqrt 2, `n3d` lowers the others by sqrt 3.
    """
    if not channel_map:
        return torch.nn.functional.pad(sound.mean(dim=0, keepdim=True), (0, 0, 0, 3))
    scene = sound[list(channel_map)]
    if fuma:
        scene[0] *= sqrt(2)
    if n3d:
        scene[1:] /= sqrt(3)
    return scene


def read_ambisonic(
    path: Path, channel_map: Sequence[int], centre: float, seconds: float = 1.0, rate: int = 24000
) -> torch.Tensor:
    """`read_sound`, then `to_ambisonic`: float32 [4, round(seconds * rate)]."""
    sound = read_sound(path, centre, seconds, rate)
    if channel_map and max(channel_map) >= len(sound):
        raise UserError(
            f"{path}: {len(sound)} channels, but index.parquet's map is {list(channel_map)}; remove the index"
        )
    return to_ambisonic(sound, channel_map, fuma=is_fuma(path))


def require_ambisonic(row: dict[str, Any]) -> None:
    """Refuses a row of the index whose sound has no direction: spatial training (AVSA) needs one. Raises UserError."""
    if not row["channel_map"]:
        raise UserError(
            f"{row['name']}: {row['channels']}-channel sound has no direction in it, which AVSA needs, as does every "
            "--audio but mono; first-order ambisonic sound (4 channels) has, and --stages avc --audio mono does without"
        )
