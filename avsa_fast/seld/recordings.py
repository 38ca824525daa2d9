"""Annotated recordings of a tree like STARSS23's, and excerpts of them with their events."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.sound_events import FRAME_SECONDS, SoundEvent, read_events
from avsa_fast.embed.media import Source, open_sources
from avsa_fast.errors import UserError
from avsa_fast.prepare.layouts.starss import find_starss

from .model import METRES, TRACKS

CENTIMETRES = 100.0  # per metre


@dataclass(frozen=True)
class Recording:
    """A recording with its events.

    Attributes:
        name: Name of the recording.
        reader: Reader of its sound.
        frames: Frames of 100 ms that are used.
        events: Its events, by frame.
    """

    name: str
    reader: MediaReader
    frames: int
    events: list[SoundEvent]

    def sound(self, first: int, count: int) -> Tensor:
        """Reads the sound of frames.

        Args:
            first: Number of the first frame.
            count: Number of frames.

        Returns:
            float32 [4, count * 2400], zeros beyond the recording.

        Raises:
            UserError: The file is damaged.
        """
        return self.reader.scene((first + count / 2) * FRAME_SECONDS, count * FRAME_SECONDS)


@dataclass(frozen=True)
class Tree:
    """Recordings of a tree.

    Attributes:
        train: Recordings to train on.
        held_out: Recordings to score.
    """

    train: list[Recording]
    held_out: list[Recording]


def read_tree(folder: Path, classes: int) -> Tree:
    """Reads the annotations of a tree, and opens its sounds.

    Args:
        folder: Folder with foa_dev/ and metadata_dev/.
        classes: Number of classes.

    Raises:
        UserError: There is no annotated recording to train on, a file cannot be read, or a class is unknown.
    """
    found = find_starss(folder, folder)
    names = [name for name, job in found.jobs.items() if job.sound is not None and name in found.annotations]
    opened = open_sources(Source(None, found.jobs[name].sound) for name in names)
    tree = Tree([], [])
    for name, (source, reader, error) in zip(names, opened, strict=True):
        if reader is None:
            raise UserError(error)
        if not reader.is_directional("audio"):
            raise UserError(f"{source.path}: its sound has no direction; foa_dev/ needs first-order ambisonics")
        recording = Recording(
            name, reader, int(reader.sound.end / FRAME_SECONDS + 1e-6), _annotated(found.annotations[name], classes)
        )
        (tree.held_out if found.splits and found.splits[name] == "test" else tree.train).append(recording)
    if not tree.train:
        raise UserError(f"{folder}: no recording to train on, with a foa_dev/NAME.wav and a metadata_dev/NAME.csv")
    return tree


def first_minutes(recordings: Sequence[Recording], minutes: float, seed: int) -> list[Recording]:
    """Selects recordings at random, the last of which is cut, until they have a given duration.

    Args:
        recordings: The recordings.
        minutes: Total duration.
        seed: Seed of the selection.

    Returns:
        The recordings; all, if they are not longer.
    """
    left, selected = round(minutes * 60 / FRAME_SECONDS), []
    for number in np.random.default_rng(seed).permutation(len(recordings)):
        recording = recordings[number]
        frames = min(left, recording.frames)
        if frames > 0:
            events = [event for event in recording.events if event.frame < frames]
            selected.append(Recording(recording.name, recording.reader, frames, events))
        left -= frames
    return selected


def targets(
    recording: Recording, first: int, count: int, classes: int, direction: Tensor, flip: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the events of an excerpt whose sound is rotated, as `adpit_loss` takes them.

    Args:
        recording: The recording.
        first: First frame of the excerpt.
        count: Frames of the excerpt.
        classes: Number of classes.
        direction: float32 [2], azimuth and elevation in radians of what is rotated to the front.
        flip: bool [], whether the rotated sound is mirrored left-right.

    Returns:
        Events float32 [count, classes, TRACKS, 4], and their number int64 [count, classes]. Of more than TRACKS events
        of a class at once, the first are kept.
    """
    begin, end = (bisect_left(recording.events, frame, key=lambda e: e.frame) for frame in (first, first + count))
    events = recording.events[begin:end]
    wanted, number = torch.zeros(count, classes, TRACKS, 4), torch.zeros(count, classes, dtype=torch.int64)
    for event, vector in zip(events, _rotated(events, direction, flip), strict=True):
        frame, slot = event.frame - first, int(number[event.frame - first, event.kind])
        if slot < TRACKS:
            distance = torch.nan if event.distance is None else event.distance / CENTIMETRES / METRES
            wanted[frame, event.kind, slot] = torch.tensor([*vector, distance])
            number[frame, event.kind] += 1
    return wanted, number


def _rotated(events: Sequence[SoundEvent], direction: Tensor, flip: Tensor) -> list[list[float]]:
    """Unit vectors of events after a rotation: plane waves, with the events as samples, rotated as the sound is."""
    if not events:
        return []
    azimuth, elevation = np.radians([(event.azimuth, event.elevation) for event in events]).T
    level = np.cos(elevation)
    waves = np.stack([np.ones_like(level), level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)])
    _, y, z, x = ops.rotate(torch.from_numpy(waves).float(), direction[None], flip=flip[None])[0]
    return torch.stack([x, y, z], dim=1).tolist()


def _annotated(path: Path, classes: int) -> list[SoundEvent]:
    """Events of a file by frame. Raises UserError for an unknown class."""
    events = sorted(read_events(path), key=lambda event: event.frame)
    for event in events:
        if not 0 <= event.kind < classes:
            raise UserError(f"{path}: class {event.kind} in frame {event.frame}; --classes {classes}: from 0 on")
    return events
