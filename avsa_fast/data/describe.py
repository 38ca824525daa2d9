"""Descriptions of media: which tracks of which files are read, and how; a prepared dataset's index stores them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from avsa_fast.errors import ClipError, UserError

from .channels import Gains, SoundLayout, sound_layout
from .projection import Projection, size_problem
from .projection_detection import FlatVideo, detect_projection
from .sound import read_overview
from .spherical_metadata import SphericalMetadata, VideoGeometry, read_spherical_metadata
from .tracks import SoundTrack, Tracks, VideoTrack, find_tracks
from .video import read_key_frames

PROJECTION_FRAMES = 3  # key frames that the projection is detected from
PROJECTION_HEIGHT = 512  # maximum rows of those frames


@dataclass(frozen=True)
class Overrides:
    """What the user states about files, instead of what they declare.

    Attributes:
        channels: Decoded channels that hold W, Y, Z, X, of sounds with more than two channels.
        gains: Normalisation of ambisonic sounds; "fuma" implies the order W, X, Y, Z.
        projection: Projection of the videos; "flat": they are not 360° videos.
    """

    channels: tuple[int, ...] | None = None
    gains: Gains | None = None
    projection: Projection | Literal["flat"] | None = None


@dataclass(frozen=True)
class Description:
    """How a clip's files are read.

    Attributes:
        video: Video track; None: no video.
        projection: Projection of the video; None: it is not a 360° video in a supported projection.
        projection_evidence: What the projection was taken from, or why there is none.
        geometry: Geometry of the video that the file declares.
        sound: Audio track; None: no sound.
        layout: Where the sound's ambisonic channels are.
        notes: One line for each track that is passed over, and for what else the user should know.
    """

    video: VideoTrack | None = None
    projection: Projection | None = None
    projection_evidence: str = ""
    geometry: VideoGeometry = field(default_factory=VideoGeometry)
    sound: SoundTrack | None = None
    layout: SoundLayout = field(default_factory=SoundLayout)
    notes: tuple[str, ...] = ()

    @property
    def begin(self) -> float:
        """Time, in seconds, from which all tracks have started."""
        return max((track.start - track.zero for track in (self.video, self.sound) if track), default=0.0)

    @property
    def end(self) -> float:
        """Time, in seconds, at which the first track ends."""
        return min((track.end for track in (self.video, self.sound) if track), default=0.0)


@dataclass(frozen=True)
class Inspection:
    """A description, and what was decoded to find it.

    Attributes:
        description: The description.
        overview: [C, T], decoded channels of the whole sound or of parts of it (`read_overview`); None: no sound.
        frames: uint8 [N, H, W, 3], key frames of the video; None: none were needed.
    """

    description: Description
    overview: torch.Tensor | None = None
    frames: torch.Tensor | None = None


def describe(video: Path | None, sound: Path | None, overrides: Overrides = Overrides()) -> Description:
    """Describes a clip: a video and its sound, in one file or in two.

    Args:
        video: File whose video track is read; None: no video is wanted.
        sound: File whose audio track is read, the same one if the sound is in it; None: no sound is wanted.
        overrides: What the user states about the files.

    Returns:
        The description; without `video` or `sound` where the file has no such track.

    Raises:
        ClipError: A file is unreadable, or a track cannot be read in only one way.
        UserError: A file is missing.
    """
    return inspect(video, sound, overrides).description


def inspect(video: Path | None, sound: Path | None, overrides: Overrides = Overrides()) -> Inspection:
    """Describes a clip like `describe`, and returns what was decoded for it too.

    Args:
        video: As for `describe`.
        sound: As for `describe`.
        overrides: As for `describe`.

    Returns:
        The description, an overview of the sound and frames of the video.

    Raises:
        ClipError: As for `describe`.
        UserError: As for `describe`.
    """
    metadata = {path: read_metadata(path) for path in (video, sound) if path is not None}
    pictured = heard = Tracks()
    if video is not None:
        pictured = heard = find_tracks(video, metadata[video], sound=sound == video)
    if sound is not None and sound != video:
        heard = find_tracks(sound, metadata[sound], video=False)
    passed_over = dict.fromkeys(pictured.passed_over + heard.passed_over)
    result = Inspection(synchronised(Description(video=pictured.video, sound=heard.sound, notes=tuple(passed_over))))
    if video is not None and pictured.video is not None:
        result = _with_projection(result, metadata[video].video, overrides)
    if heard.sound is not None:
        overview = read_overview(heard.sound)
        layout = sound_layout(heard.sound, overview, heard.declared, channels=overrides.channels, gains=overrides.gains)
        result = replace(result, description=replace(result.description, layout=layout), overview=overview)
    return result


def read_metadata(path: Path) -> SphericalMetadata:
    """Reads the spherical metadata of a user's file.

    Args:
        path: Media file.

    Returns:
        The metadata.

    Raises:
        UserError: The file is missing or cannot be read.
    """
    if not path.is_file():  # opening a FIFO would wait for a writer
        raise UserError(f"{path}: no such file")
    try:
        return read_spherical_metadata(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def synchronised(description: Description) -> Description:
    """Sets the timestamp from which times are counted: that at which the first track starts.

    Tracks in two files share it, unless they would then overlap by less than half of the shorter one, as when one of
    them has kept the timestamps of a longer recording.

    Args:
        description: A description, with any zero of its tracks.

    Returns:
        The same one, with the zeros set.
    """
    video, sound = description.video, description.sound
    starts = [track.start for track in (video, sound) if track]
    zero = max(0.0, min(starts, default=0.0))
    zeros, notes = (zero, zero), description.notes
    if video and sound and video.path != sound.path:
        overlap = min(video.start + video.seconds, sound.start + sound.seconds) - max(starts)
        if overlap < min(video.seconds, sound.seconds) / 2:
            zeros = max(0.0, video.start), max(0.0, sound.start)
            notes += (
                f"{video.path}: timestamps start at {video.start:.2f} s, and at {sound.start:.2f} s in {sound.path}; "
                "both are read from their own starts",
            )
    return replace(
        description,
        video=video and replace(video, zero=zeros[0]),
        sound=sound and replace(sound, zero=zeros[1]),
        notes=notes,
    )


def _with_projection(result: Inspection, geometry: VideoGeometry, overrides: Overrides) -> Inspection:
    """Adds the projection, decoding key frames only if the metadata is not sufficient."""
    description, decoded = result.description, []
    video, notes = description.video, description.notes
    assert video is not None
    track = video

    def read_frames() -> torch.Tensor:
        decoded.append(read_key_frames(track, PROJECTION_FRAMES, PROJECTION_HEIGHT))
        return decoded[0]

    projection: Projection | None = None
    if overrides.projection is not None:
        evidence = f"--projection {overrides.projection}"
        projection = None if overrides.projection == "flat" else overrides.projection
    else:
        try:
            projection, evidence = detect_projection(geometry, read_frames)
        except ClipError as error:
            evidence = str(error)
            if not isinstance(error, FlatVideo):
                notes += (f"{video.path}: {evidence}",)
    if projection is not None and (reason := size_problem(projection, video.width, video.height)):
        projection, evidence = None, reason
        notes += (f"{video.path}: {reason}",)
    description = replace(
        description, projection=projection, projection_evidence=evidence, geometry=geometry, notes=notes
    )
    return replace(result, description=description, frames=decoded[0] if decoded else None)
