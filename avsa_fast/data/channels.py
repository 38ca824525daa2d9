"""Mapping of a track's decoded channels to first-order ambisonics (ACN order, SN3D): W, Y, Z, X."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from avsa_fast.ambisonics import FUMA_ACN, from_fuma, from_n3d
from avsa_fast.choices import Gains as Gains
from avsa_fast.data.sound_layouts import SpatialSound
from avsa_fast.data.tracks import SoundTrack
from avsa_fast.data.validity import silent_channels
from avsa_fast.errors import ClipError, UserError

# Channel maps: the decoded channels that hold W, Y, Z, X.
ACN = (0, 1, 2, 3)
# YouTube stores ambisonics in AAC 5.1 (FL FR FC LFE BL BR); LFE and BR are silent.
YOUTUBE, YOUTUBE_SILENT = (2, 1, 4, 0), [3, 5]
FUMA = tuple(FUMA_ACN.index(number) for number in ACN)
FUMA_CHANNELS = (4, 6, 8, 9, 11, 16)  # channel counts of .amb files with Z as fourth channel; 3, 5 and 7 have no height
# Channel counts of orders 1 to 4; in files labelled ambisonic, two more channels are head-locked stereo.
AMBISONIC_CHANNELS = (4, 9, 16, 25)


@dataclass(frozen=True)
class SoundLayout:
    """Where a track's first-order ambisonic channels are.

    Attributes:
        channel_map: Decoded channels that hold W, Y, Z, X; empty for sound without direction (mono, stereo).
        gains: Normalisation of these channels.
        evidence: What the layout was taken from, for people.
    """

    channel_map: tuple[int, ...] = ()
    gains: Gains = "sn3d"
    evidence: str = ""


def sound_layout(
    sound: SoundTrack,
    overview: torch.Tensor,
    declared: SpatialSound | None = None,
    *,
    channels: Sequence[int] | None = None,
    gains: Gains | None = None,
) -> SoundLayout:
    """Determines which decoded channels hold W, Y, Z, X, and their normalisation.

    What the user states comes first, then what the file declares, then what its format and number of channels imply.

    Args:
        sound: Audio track.
        overview: [C, T], enough of the recording to detect silent channels (`read_overview`).
        declared: Ambisonic layout that the file declares, if any.
        channels: Channel numbers of W, Y, Z, X, as the user states them.
        gains: Normalisation, as the user states it; "fuma" implies the order W, X, Y, Z.

    Returns:
        The layout.

    Raises:
        ClipError: The layout is ambiguous (state "ambiguous"); the message names --channels.
    """
    if sound.channels <= 2:
        return SoundLayout((), "sn3d", f"{sound.channels} channels")
    if channels is not None:
        return SoundLayout(check_channels(sound, channels), gains or _gains(sound, declared), "--channels")
    if gains is None and declared and declared.gains == "unknown":
        raise ClipError(
            "ambiguous",
            f"{sound.path}: its {declared.source} declares a channel order or gains that are not AmbiX; give the "
            "channels of W, Y, Z and X with --channels, and --gains if they are not SN3D",
        )
    if declared and declared.gains != "unknown" and declared.order >= 1 and len(declared.channels) == sound.channels:
        channel_map = tuple(declared.channels.index(number) for number in ACN)
        return SoundLayout(channel_map, gains or declared.gains, declared.source)
    gains = gains or _gains(sound, None)
    channel_map, evidence = _implied_map(sound, overview, is_fuma=gains == "fuma")
    return SoundLayout(channel_map, gains, evidence)


def _gains(sound: SoundTrack, declared: SpatialSound | None) -> Gains:
    """Normalisation by the file's declaration or suffix; SN3D without either."""
    if declared and declared.gains != "unknown":
        return declared.gains
    return "fuma" if sound.path.suffix.lower() == ".amb" else "sn3d"


def _implied_map(sound: SoundTrack, overview: torch.Tensor, *, is_fuma: bool) -> tuple[tuple[int, ...], str]:
    """Channel map by the number of channels, codec and silent channels, and the evidence for it."""
    if is_fuma and sound.channels in FUMA_CHANNELS:
        return FUMA, f"{sound.channels} channels, Furse-Malham"
    if not is_fuma and sound.channels in AMBISONIC_CHANNELS:
        return ACN, f"{sound.channels} channels, assumed AmbiX"
    if sound.layout.startswith("ambisonic") and sound.channels - 2 in AMBISONIC_CHANNELS:
        return ACN, f"labelled {sound.layout}"
    silent = silent_channels(overview)
    if sound.channels == 6 and not is_fuma:
        if sound.codec == "aac" and sound.layout.startswith("5.1") and set(YOUTUBE_SILENT) <= set(silent):
            return YOUTUBE, "AAC 5.1 with silent LFE and BR, as YouTube's"
        if not silent:
            return ACN, "6 channels, assumed AmbiX and head-locked stereo"
    raise ClipError(
        "ambiguous",
        f"{sound.path}: {sound.channels} channels ({sound.codec}, labelled {sound.layout}, silent: {silent or 'none'}) "
        "could be in more than one order; give the channels of W, Y, Z and X, as in --channels 0 1 2 3",
    )


def check_channels(sound: SoundTrack, channels: Sequence[int]) -> tuple[int, ...]:
    """Validates a channel map given by the user.

    Args:
        sound: Audio track.
        channels: Channel numbers of W, Y, Z, X.

    Returns:
        The channel map.

    Raises:
        ClipError: They are not four different channels of the file.
    """
    if len(channels) != 4 or len(set(channels)) != 4 or not all(0 <= c < sound.channels for c in channels):
        raise ClipError(
            "ambiguous",
            f"{sound.path}: --channels {' '.join(map(str, channels))} does not name four different channels "
            f"of its {sound.channels} (counted from 0)",
        )
    return tuple(channels)


def to_ambisonic(sound: torch.Tensor, channel_map: Sequence[int], gains: Gains = "sn3d") -> torch.Tensor:
    """Converts decoded channels to first-order ambisonics.

    Args:
        sound: [C, T], decoded channels.
        channel_map: Channel numbers of W, Y, Z, X. If empty (sound without direction), W is the mean of all channels
            and the others are zero.
        gains: Normalisation: with "fuma", W is multiplied by sqrt 2; with "n3d", Y, Z and X are divided by sqrt 3.

    Returns:
        [4, T], channels W, Y, Z, X in SN3D.
    """
    if not channel_map:
        return torch.nn.functional.pad(sound.mean(dim=0, keepdim=True), (0, 0, 0, 3))
    scene = sound[list(channel_map)]
    if gains == "fuma":
        return from_fuma(scene[list(FUMA_ACN[:4])])
    return from_n3d(scene) if gains == "n3d" else scene


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
