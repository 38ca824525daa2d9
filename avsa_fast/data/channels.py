"""Mapping of a file's decoded channels to first-order ambisonics (ACN order, SN3D): W, Y, Z, X."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from avsa_fast.ambisonics import FUMA_ACN, from_fuma, from_n3d
from avsa_fast.data.sound import SoundInfo, read_sound
from avsa_fast.data.spherical_metadata import SpatialSound
from avsa_fast.data.validity import silent_channels
from avsa_fast.errors import ClipError, UserError

Gains = Literal["sn3d", "n3d", "fuma"]  # normalisation of ambisonic channels
# Channel maps: the decoded channels that hold W, Y, Z, X.
ACN = [0, 1, 2, 3]
# YouTube stores ambisonics in AAC 5.1 (FL FR FC LFE BL BR); LFE and BR are silent.
YOUTUBE, YOUTUBE_SILENT = [2, 1, 4, 0], [3, 5]
FUMA = [FUMA_ACN.index(number) for number in ACN]
FUMA_CHANNELS = (4, 6, 8, 9, 11, 16)  # channel counts of .amb files with Z as fourth channel; 3, 5 and 7 have no height
# Channel counts of orders 1 to 4; in files labelled ambisonic, two more channels are head-locked stereo.
AMBISONIC_CHANNELS = (4, 9, 16, 25)


def is_fuma(path: Path) -> bool:
    """Whether a file has Furse-Malham (FuMa) channel order and gains, as .amb files do."""
    return path.suffix.lower() == ".amb"


def channel_map(
    path: Path,
    info: SoundInfo,
    sound: torch.Tensor,
    declared: SpatialSound | None = None,
    *,
    fuma: bool | None = None,
) -> list[int]:
    """Determines which decoded channels hold W, Y, Z, X.

    Args:
        path: Sound file.
        info: Properties of the file.
        sound: [C, T], enough of the recording to detect silent channels (`read_overview`).
        declared: Ambisonic layout that the file declares, if any.
        fuma: Whether the channels are in Furse-Malham order; None: decided by `is_fuma`.

    Returns:
        Channel numbers of W, Y, Z, X; empty for sound without direction (mono, stereo).

    Raises:
        ClipError: The layout is ambiguous (state "ambiguous"); the message names --channels.
    """
    if info.channels <= 2:
        return []
    if declared and declared.normalisation != "SN3D":
        raise ClipError(
            "ambiguous",
            f"{path}: its metadata declares a channel order or gains that are not AmbiX; give the channels of W, Y, Z "
            "and X with --channels, and --gains if they are not SN3D",
        )
    if declared and declared.order >= 1 and len(declared.channels) == info.channels:
        return [declared.channels.index(number) for number in ACN]
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
        "in more than one order; give the channels of W, Y, Z and X, as in --channels 0 1 2 3",
    )


def check_channels(path: Path, info: SoundInfo, channels: Sequence[int]) -> list[int]:
    """Validates a channel map given by the user.

    Args:
        path: Sound file.
        info: Properties of the file.
        channels: Channel numbers of W, Y, Z, X.

    Returns:
        The channel map.

    Raises:
        ClipError: They are not four different channels of the file.
    """
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
    """Converts decoded channels to first-order ambisonics.

    Args:
        sound: [C, T], decoded channels.
        channel_map: Channel numbers of W, Y, Z, X. If empty (sound without direction), W is the mean of all channels
            and the others are zero.
        fuma: Whether the gains are Furse-Malham's: W is multiplied by sqrt 2.
        n3d: Whether the gains are N3D: Y, Z and X are divided by sqrt 3.

    Returns:
        [4, T], channels W, Y, Z, X in SN3D.
    """
    if not channel_map:
        return torch.nn.functional.pad(sound.mean(dim=0, keepdim=True), (0, 0, 0, 3))
    scene = sound[list(channel_map)]
    if fuma:
        scene = from_fuma(scene[list(FUMA_ACN[:4])])
    return from_n3d(scene) if n3d else scene


def read_ambisonic(
    path: Path, channel_map: Sequence[int], centre: float, seconds: float = 1.0, rate: int = 24000
) -> torch.Tensor:
    """Reads sound around a point in time as first-order ambisonics.

    Args:
        path: Sound or video file.
        channel_map: Channel numbers of W, Y, Z, X; empty for sound without direction.
        centre: Centre time, in seconds from the start of the file.
        seconds: Duration.
        rate: Sample rate in Hz that the sound is resampled to.

    Returns:
        float32 [4, round(seconds * rate)], channels W, Y, Z, X.

    Raises:
        UserError: As for `read_sound`, or the file has fewer channels than the map needs.
    """
    sound = read_sound(path, centre, seconds, rate)
    if channel_map and max(channel_map) >= len(sound):
        raise UserError(
            f"{path}: {len(sound)} channels, but index.parquet's channel map is {list(channel_map)}; delete that file "
            "to rebuild it"
        )
    return to_ambisonic(sound, channel_map, fuma=is_fuma(path))


def require_ambisonic(row: dict[str, Any]) -> None:
    """Checks that a clip's sound has direction, which spatial training (AVSA) needs.

    Args:
        row: The clip's row of the index.

    Raises:
        UserError: It has none.
    """
    if not row["channel_map"]:
        raise UserError(
            f"{row['name']}: {row['channels']}-channel sound has no direction in it, which AVSA needs, as does every "
            "--audio but mono; use first-order ambisonic sound (4 channels), or --stages avc --audio mono"
        )
