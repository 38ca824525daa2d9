"""Computes a clip's row of the index from its files and the user's options."""

from math import degrees
from pathlib import Path
from typing import Any

import torch

from avsa_fast.errors import ClipError, UserError

from .channels import Gains, channel_map, check_channels, to_ambisonic
from .measures import measure_sound
from .projection import Projection, check_size
from .projection_detection import detect_projection
from .sound import SoundInfo, probe_sound, read_overview
from .spherical_metadata import VideoGeometry, read_spherical_metadata
from .tables import INDEX
from .validity import silent_channels
from .video import VideoInfo, probe_video, read_key_frames

PROJECTION_FRAMES = 3  # key frames that the projection is detected from
PROJECTION_HEIGHT = 512  # maximum rows of those frames
# Maximum difference between the durations of video and sound: seconds or share of the longer one, whichever is larger.
# The seconds also limit the difference of their start times.
MAX_MISMATCH, MAX_MISMATCH_SHARE = 2.0, 0.1
MAX_POSE = 0.5  # maximum declared rotation, in degrees, at which video and sound count as having the same axes


def describe_clip(
    name: str,
    video: Path,
    sound: Path,
    *,
    gains: Gains,
    channels: tuple[int, ...] | None = None,
    projection: Projection | None = None,
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
        ignore_pose: Whether to assume that video and sound have the same axes, whatever pose the file declares.

    Returns:
        The clip's row of index.parquet; its split is None.

    Raises:
        ClipError: The clip cannot be used; the error holds the clip's state.
        UserError: A file cannot be read.
    """
    try:
        metadata = read_spherical_metadata(video)
    except OSError as error:
        raise UserError(f"{video}: cannot be read: {error.strerror}") from error
    geometry = metadata.video
    video_info, sound_info = probe_video(video), probe_sound(sound)
    _check_match(video, video_info, sound_info, same_file=sound == video)
    if projection is None:
        projection = _projection(video, geometry)
    try:
        check_size(projection, video_info.width, video_info.height)
    except ClipError as error:
        raise ClipError(error.state, f"{video}: {error}") from error
    overview = read_overview(sound)
    if channels is not None and sound_info.channels > 2:
        mapping = check_channels(sound, sound_info, channels)
    else:
        declared = metadata.sound if sound == video else None
        mapping = channel_map(sound, sound_info, overview, declared, fuma=gains == "fuma")
    if mapping and not ignore_pose:
        _check_pose(video, geometry)
    scene = to_ambisonic(overview, mapping, fuma=gains == "fuma", n3d=gains == "n3d")
    has_pose = geometry.projection is not None
    return dict.fromkeys(INDEX.names) | {
        "name": name,
        "seconds": min(video_info.seconds, sound_info.seconds),
        "offset": sound_info.start - video_info.start,
        "fps": video_info.fps,
        "width": video_info.width,
        "height": video_info.height,
        "projection": projection,
        "yaw": geometry.yaw if has_pose else None,
        "pitch": geometry.pitch if has_pose else None,
        "roll": geometry.roll if has_pose else None,
        "rate": sound_info.rate,
        "channels": sound_info.channels,
        "channel_map": mapping,
        "silent_channels": silent_channels(overview),
        "state": "ok",
        **measure_sound(overview, mapping, scene, sound_info.rate, sound_info.seconds),
    }


def _check_pose(video: Path, geometry: VideoGeometry) -> None:
    """Raises ClipError if the declared pose is not close to zero."""
    pose = [degrees(angle) for angle in (geometry.yaw, geometry.pitch, geometry.roll)]
    if max(map(abs, pose)) > MAX_POSE:
        raise ClipError(
            "ambiguous",
            f"{video}: declares a pose (yaw {pose[0]:g}°, pitch {pose[1]:g}°, roll {pose[2]:g}°), and no standard says "
            "whether the sound rotates with the video; --ignore-pose assumes that both have the same axes",
        )


def _check_match(video: Path, video_info: VideoInfo, sound_info: SoundInfo, *, same_file: bool) -> None:
    """Raises ClipError if durations differ too much, or start times in one file."""
    allowed = max(MAX_MISMATCH, MAX_MISMATCH_SHARE * max(video_info.seconds, sound_info.seconds))
    if abs(video_info.seconds - sound_info.seconds) > allowed:
        raise ClipError(
            "refused",
            f"{video}: {video_info.seconds:.2f} s of video and {sound_info.seconds:.2f} s of sound do not belong "
            "together",
        )
    delay = sound_info.start - video_info.start
    if same_file and abs(delay) > MAX_MISMATCH:
        raise ClipError("refused", f"{video}: sound starts {delay:.2f} s after the video")


def _projection(video: Path, geometry: VideoGeometry) -> Projection:
    """Projection of a video; decodes key frames only if the metadata is not sufficient."""
    try:
        if geometry.projection == "equirectangular" and geometry.stereo:
            frames = torch.zeros(1, 2, 4, 3, dtype=torch.uint8)  # not looked at
        else:
            frames = read_key_frames(video, PROJECTION_FRAMES, PROJECTION_HEIGHT)
        return detect_projection(geometry, frames)
    except ClipError as error:
        raise ClipError(error.state, f"{video}: {error}") from error
