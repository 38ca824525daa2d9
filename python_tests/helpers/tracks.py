"""Tracks of files in tests, with times counted from their own start."""

from pathlib import Path

from avsa_fast.data.describe import Description, read_metadata, synchronised
from avsa_fast.data.tracks import SoundTrack, VideoTrack, find_tracks
from avsa_fast.errors import ClipError


def video_track(path: Path) -> VideoTrack:
    """The video track of a file."""
    found = find_tracks(path, read_metadata(path), sound=False)
    track = synchronised(Description(video=found.video)).video
    if track is None:
        raise ClipError("incomplete", f"{path}: no video in this file")
    return track


def sound_track(path: Path) -> SoundTrack:
    """The audio track of a file."""
    found = find_tracks(path, read_metadata(path), video=False)
    track = synchronised(Description(sound=found.sound)).sound
    if track is None:
        raise ClipError("incomplete", f"{path}: no audio in this file")
    return track
