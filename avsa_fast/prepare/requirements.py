"""What a clip must have for training: video and sound that belong together, on the same axes, and a full sphere."""

from math import degrees
from pathlib import Path

from avsa_fast.data.describe import Description
from avsa_fast.errors import ClipError

# Maximum difference between the lengths of video and sound: seconds or share of the longer one, whichever is larger.
# The seconds also limit the difference of their start times.
MAX_MISMATCH, MAX_MISMATCH_SHARE = 2.0, 0.1
MAX_POSE = 0.5  # maximum declared rotation, in degrees, at which video and sound count as having the same axes


def require_trainable(description: Description, video: Path, sound: Path, *, ignore_pose: bool) -> None:
    """Checks that a clip can be trained on.

    Args:
        description: The clip.
        video: Video file, for messages.
        sound: File with the sound, for messages.
        ignore_pose: Whether to assume that video and sound have the same axes, whatever pose the file declares.

    Raises:
        ClipError: It cannot.
    """
    if description.video is None:
        raise ClipError("incomplete", f"{video}: no video in this file")
    if description.sound is None:
        raise ClipError("incomplete", f"{sound}: no audio in this file")
    _check_match(description, video)
    if description.projection is None:
        raise ClipError("refused", f"{video}: {description.projection_evidence}")
    if description.layout.channel_map and not ignore_pose:
        _check_axes(description, video)


def _check_match(description: Description, video: Path) -> None:
    """Raises ClipError if the lengths of video and sound differ too much, or their start times."""
    pictured, heard = description.video, description.sound
    assert pictured is not None
    assert heard is not None
    allowed = max(MAX_MISMATCH, MAX_MISMATCH_SHARE * max(pictured.seconds, heard.seconds))
    if abs(pictured.seconds - heard.seconds) > allowed:
        raise ClipError(
            "refused",
            f"{video}: {pictured.seconds:.2f} s of video and {heard.seconds:.2f} s of sound do not belong together",
        )
    delay = (heard.start - heard.zero) - (pictured.start - pictured.zero)
    if abs(delay) > MAX_MISMATCH:
        raise ClipError("refused", f"{video}: sound starts {delay:.2f} s after the video")


def _check_axes(description: Description, video: Path) -> None:
    """Raises ClipError if the file rotates its video when it is displayed."""
    geometry = description.geometry
    pose = [degrees(angle) for angle in (geometry.yaw, geometry.pitch, geometry.roll)]
    unknown = (
        "and no standard says whether the sound rotates with the video; --ignore-pose assumes that both have the same "
        "axes"
    )
    if max(map(abs, pose)) > MAX_POSE:
        raise ClipError(
            "ambiguous",
            f"{video}: declares a pose (yaw {pose[0]:g}°, pitch {pose[1]:g}°, roll {pose[2]:g}°), {unknown}",
        )
    if description.video is not None and description.video.turns:
        raise ClipError(
            "ambiguous", f"{video}: its display matrix turns the picture by {90 * description.video.turns}°, {unknown}"
        )
