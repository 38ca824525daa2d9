"""One clip, by the path of its video: its sound, and what the dataset folder that it is in knows about it."""

from pathlib import Path

from avsa_fast.errors import UserError

from .clips import media_names
from .describe import Description, Overrides
from .index import Index
from .media_formats import SOUND_SUFFIXES
from .rows import description_of


def sound_of(video: Path) -> Path:
    """Finds the file with the sound of a video.

    Args:
        video: Video file.

    Returns:
        audio/NAME.* for video/NAME.* of a dataset folder; else a sound of the same name beside the video; else the
        video.
    """
    if dataset := _dataset_of(video):
        _, sounds = media_names(dataset)
        if video.stem in sounds:
            return dataset / "audio" / sounds[video.stem]
    beside = (video.with_suffix(suffix) for suffix in SOUND_SUFFIXES)
    return next((path for path in beside if path.is_file()), video)


def detections_of(video: Path) -> Path | None:
    """Returns detections.parquet of the dataset folder that a video is in, if it is in one that has it.

    Args:
        video: Video file.
    """
    dataset = _dataset_of(video)
    path = dataset / "detections.parquet" if dataset else None
    return path if path is not None and path.is_file() else None


def prepared_description(video: Path, sound: Path, overrides: Overrides) -> Description | None:
    """Looks a clip up in the index of the dataset folder that it is in.

    Args:
        video: Video file.
        sound: File with its sound.
        overrides: What the user states about the files, which the index does not know.

    Returns:
        The description; None if the clip is in no index, or the user states something.

    Raises:
        UserError: If the index is damaged.
    """
    dataset = _dataset_of(video)
    if dataset is None or overrides != Overrides() or not (dataset / "index.parquet").is_file():
        return None
    for clip, row in Index(dataset):
        if clip.video == video and clip.sound == sound:
            return description_of(row, video, sound)
    return None


def require_spatial(description: Description, video: Path) -> None:
    """Checks that a clip has a 360° video and sound with direction.

    Args:
        description: The clip.
        video: Video file, for messages.

    Raises:
        UserError: It has not.
    """
    if description.video is None:
        raise UserError(f"{video}: no video in this file")
    if description.projection is None:
        raise UserError(f"{video}: not a 360° video: {description.projection_evidence}; --projection states another")
    if description.sound is None:
        raise UserError(f"{video}: no sound in it or beside it; --sound names the file with the sound")
    if not description.layout.channel_map:
        raise UserError(
            f"{description.sound.path}: {description.sound.channels}-channel sound has no direction in it; --sound "
            "names a file with first-order ambisonics"
        )


def _dataset_of(video: Path) -> Path | None:
    """The dataset folder of a video, if its path is DATASET/video/NAME and there is DATASET/audio."""
    folder = video.parent
    return folder.parent if folder.name == "video" and (folder.parent / "audio").is_dir() else None
