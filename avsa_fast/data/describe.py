"""Computes a clip's row of the index from its files and the user's options."""

from math import degrees
from pathlib import Path
from typing import Any

import torch

from avsa_fast.errors import ClipError, UserError

from .channels import Gains, channel_map, check_channels, to_ambisonic
from .projection import Source, check_size, decide_source
from .sound import SoundInfo, probe_sound, read_overview
from .spherical import Picture, read_spherical
from .tables import INDEX
from .validity import arrivals, silent_channels, spatial_validity
from .video import VideoInfo, probe_video, read_key_frames

LOOKS = 3  # key frames used to detect the projection
LOOK_HEIGHT = 512  # maximum rows of those frames
# Maximum difference between the durations of video and sound: seconds or share of the longer one, whichever is larger.
# The seconds also limit the difference of their start times.
MISMATCH, MISMATCH_SHARE = 2.0, 0.1
POSE = 0.5  # maximum declared rotation, in degrees, at which picture and sound count as having the same axes


def describe_clip(
    name: str,
    video: Path,
    sound: Path,
    *,
    gains: Gains,
    channels: tuple[int, ...] | None = None,
    projection: Source | None = None,
    ignore_pose: bool = False,
) -> dict[str, Any]:
    """Computes the index row of a usable clip.

    Args:
        name: Name of the clip.
        video: Video file.
        sound: Sound file; the video file itself if it contains the sound.
        gains: Normalisation of the ambisonic channels.
        channels: Decoded channels that hold W, Y, Z, X; None: detected from the file.
        projection: Projection of the video; None: detected from the file.
        ignore_pose: Whether to assume that picture and sound have the same axes, whatever pose the file declares.

    Returns:
        The clip's row of index.parquet; its split is None.

    Raises:
        ClipError: The clip cannot be used; the error holds the clip's state.
        UserError: A file cannot be read.
    """
    try:
        metadata = read_spherical(video)
    except OSError as error:
        raise UserError(f"{video}: cannot be read: {error.strerror}") from error
    seen, heard = probe_video(video), probe_sound(sound)
    _check_match(video, seen, heard, one_file=sound == video)
    source = projection or _source(video, metadata.picture)
    try:
        check_size(source, seen.width, seen.height)
    except ClipError as error:
        raise ClipError(error.state, f"{video}: {error}") from error
    overview = read_overview(sound)
    if channels is not None and heard.channels > 2:
        mapping = check_channels(sound, heard, channels)
    else:
        stated = metadata.sound if sound == video else None
        mapping = channel_map(sound, heard, overview, stated, fuma=gains == "fuma")
    if mapping and not ignore_pose:
        _check_pose(video, metadata.picture)
    scene = to_ambisonic(overview, mapping, fuma=gains == "fuma", n3d=gains == "n3d")
    posed = metadata.picture.projection is not None
    return dict.fromkeys(INDEX.names) | {
        "name": name,
        "seconds": min(seen.seconds, heard.seconds),
        "offset": heard.start - seen.start,
        "fps": seen.fps,
        "width": seen.width,
        "height": seen.height,
        "projection": source,
        "yaw": metadata.picture.yaw if posed else None,
        "pitch": metadata.picture.pitch if posed else None,
        "roll": metadata.picture.roll if posed else None,
        "rate": heard.rate,
        "channels": heard.channels,
        "channel_map": mapping,
        "silent_channels": silent_channels(overview),
        "state": "ok",
        **(_directed(scene, heard.rate) if mapping else {}),
    }


def _directed(scene: torch.Tensor, rate: int) -> dict[str, float | None]:
    """Columns that apply only to directional sound."""
    found = {f"arrival_{name}": value for name, value in arrivals(scene, rate)._asdict().items()}
    return found | {"spatial_validity": spatial_validity(scene, rate)}


def _check_pose(video: Path, picture: Picture) -> None:
    """Raises ClipError if the declared pose is not close to zero."""
    pose = [degrees(angle) for angle in (picture.yaw, picture.pitch, picture.roll)]
    if max(map(abs, pose)) > POSE:
        raise ClipError(
            "ambiguous",
            f"{video}: states a pose (yaw {pose[0]:g}°, pitch {pose[1]:g}°, roll {pose[2]:g}°), and whether its sound "
            "is turned with its picture no standard says; --ignore-pose takes the two to have the same axes",
        )


def _check_match(video: Path, seen: VideoInfo, heard: SoundInfo, *, one_file: bool) -> None:
    """Raises ClipError if durations differ too much, or start times in one file."""
    most = max(MISMATCH, MISMATCH_SHARE * max(seen.seconds, heard.seconds))
    if abs(seen.seconds - heard.seconds) > most:
        raise ClipError(
            "refused",
            f"{video}: {seen.seconds:.2f} s of picture and {heard.seconds:.2f} s of sound do not belong together",
        )
    if one_file and abs(heard.start - seen.start) > MISMATCH:
        raise ClipError("refused", f"{video}: sound starts {heard.start - seen.start:.2f} s after the picture")


def _source(video: Path, picture: Picture) -> Source:
    """Projection of a video; decodes key frames only if the metadata is not sufficient."""
    try:
        settled = picture.projection == "equirectangular" and picture.stereo
        frames = torch.zeros(1, 2, 4, 3, dtype=torch.uint8) if settled else read_key_frames(video, LOOKS, LOOK_HEIGHT)
        return decide_source(picture, frames)
    except ClipError as error:
        raise ClipError(error.state, f"{video}: {error}") from error
