"""Scenes as a tree like that of STARSS23: foa_dev/, video_dev/ and metadata_dev/, with the names of the classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avsa_fast.data.encode_video import write_video
from avsa_fast.data.sound_events import FRAME_SECONDS, SoundEvent, write_events
from avsa_fast.scenes.scene import Scene
from avsa_fast.scenes.sound import RATE, root_mean_square
from avsa_fast.writing import library_file

SPLITS = {"train": "dev-train-scenes", "test": "dev-test-scenes"}  # folders, by split
FOLDERS = ("foa_dev", "video_dev", "metadata_dev")
FRAME = round(FRAME_SECONDS * RATE)  # samples
AUDIBLE = 10 ** (-30 / 20)  # RMS of a source's frame, relative to that of its whole sound, from which it is annotated


def make_folders(folder: Path, splits: Sequence[str]) -> None:
    """Creates the folders of a tree.

    Args:
        folder: The tree.
        splits: Splits that have scenes.
    """
    for kind in FOLDERS:
        for split in splits:
            (folder / kind / SPLITS[split]).mkdir(parents=True)


def write_scene(
    folder: Path, name: str, split: str, scene: Scene, frames: Iterator[NDArray[np.uint8]], classes: Sequence[str]
) -> None:
    """Writes a scene's sound (16-bit WAV), video and annotations.

    Args:
        folder: The tree.
        name: Name of the scene.
        split: "train" or "test".
        scene: The scene.
        frames: Its video.
        classes: Names of all classes; an annotation has an index into them.

    Raises:
        OSError: A file cannot be written.
    """
    sound, video, metadata = (folder / kind / SPLITS[split] for kind in FOLDERS)
    write_video(video / f"{name}.mp4", frames)
    with (
        library_file(sound / f"{name}.wav") as file,
        soundfile.SoundFile(file, "w", RATE, 4, "PCM_16", format="WAV") as wav,
    ):
        wav.write(scene.sound.T)
    write_events(metadata / f"{name}.csv", scene_events(scene, classes))


def scene_events(scene: Scene, classes: Sequence[str]) -> list[SoundEvent]:
    """Returns the sounds of a scene in each whole frame of 100 ms.

    A source is annotated while it is within 30 dB of its mean level; its direction is that in the middle of the frame.

    Args:
        scene: The scene.
        classes: Names of all classes.

    Returns:
        The events by frame and source, with distances in centimetres.
    """
    count = scene.sound.shape[1] // FRAME
    middles = (np.arange(count) + 0.5) * FRAME_SECONDS
    events = []
    for number, source in enumerate(scene.sources):
        directions = np.degrees(scene.tracks[number].at(middles))
        levels = np.sqrt(np.square(source.signal[: count * FRAME].reshape(count, FRAME)).mean(axis=1))
        for frame in np.flatnonzero(levels >= AUDIBLE * root_mean_square(source.signal)):
            azimuth, elevation = directions[frame].tolist()
            kind, distance = classes.index(source.label), 100 * scene.distances[number]
            events.append(SoundEvent(int(frame), kind, number, azimuth, elevation, distance))
    return sorted(events)
