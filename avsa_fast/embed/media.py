"""Media to embed: prepared datasets, pairs of video and sound, and single files of any kind."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from avsa_fast.data.describe import Description, Overrides, describe
from avsa_fast.data.index import Index
from avsa_fast.data.media_folders import find_media
from avsa_fast.data.reader import MediaReader, Modality
from avsa_fast.data.rows import description_of
from avsa_fast.data.sound import read_sound
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.data.views import MEAN, STD
from avsa_fast.errors import UserError
from avsa_fast.isolation import Work, Worker, close, work
from avsa_fast.prepare.layouts import find_files


class Source(NamedTuple):
    """A clip to embed.

    Attributes:
        video: File with the video, if it is wanted; it need not have one.
        sound: File with the sound, if it is wanted; it need not have any.
        description: How they are read, if they were prepared.
    """

    video: Path | None
    sound: Path | None
    description: Description | None = None

    @property
    def path(self) -> Path:
        """File that names the clip."""
        path = self.video or self.sound
        assert path is not None
        return path


class Opened(NamedTuple):
    """A source that was opened: its reader, or why it cannot be read."""

    source: Source
    reader: MediaReader | None
    error: str = ""


def find_sources(paths: Iterable[Path], modalities: Sequence[Modality]) -> list[Source]:
    """Lists the clips in files and folders.

    Args:
        paths: Files; prepared dataset folders; and other folders, whose videos belong to the sounds that prepare
            would find for them.
        modalities: Modalities that are wanted.

    Returns:
        The clips, those of folders sorted by name.

    Raises:
        UserError: A path does not exist, no file is found, or a prepared dataset cannot be read.
    """
    found: list[Source] = []
    for path in paths:
        if (path / "index.parquet").exists():
            for clip, row in Index(path):
                assert clip.video is not None
                assert clip.sound is not None
                found.append(Source(clip.video, clip.sound, description_of(row, clip.video, clip.sound)))
        elif path.is_dir():
            found += _of_folder(path)
        else:
            found += [Source(file, file) for file in find_media([path])]
    wanted = (
        source._replace(
            video=source.video if "video" in modalities else None,
            sound=source.sound if "audio" in modalities else None,
        )
        for source in dict.fromkeys(found)
    )
    return [source for source in wanted if source.video or source.sound]


def _of_folder(folder: Path) -> list[Source]:
    """Clips that prepare would find in a folder, and its other media files."""
    clips = find_files(folder, folder).jobs.values()
    used = {file for clip in clips for file in (clip.video, clip.sound)}
    others = [file for file in find_media([folder]) if file not in used]
    found = [Source(clip.video, clip.sound) for clip in clips] + [Source(file, file) for file in others]
    return sorted(found, key=lambda source: source.path)


class Described(NamedTuple):
    """The description of a source, or why there is none."""

    description: Description | None
    error: str = ""


@dataclass(frozen=True)
class DescribeTask:
    """Describes sources in a worker process, because a damaged file may crash the process that opens it.

    Attributes:
        overrides: What the user states about the files.
    """

    overrides: Overrides

    def start(self) -> Work[Source, Described]:
        """Returns the function that describes a source."""
        torch.set_num_threads(1)
        return lambda source, _: self._described(source)

    def path(self, source: Source) -> Path | None:
        """Returns the file that names the source."""
        return source.path

    def failed(self, source: Source, state: str, reason: str) -> Described:
        """Returns the result for a source that cannot be described."""
        return Described(None, reason)

    def _described(self, source: Source) -> Described:
        """The description of a source; if only its video or only its sound can be read, of that, with a note."""
        try:
            description = describe(source.video, source.sound, self.overrides)
        except UserError as error:
            if source.video and source.sound:
                for part in (source._replace(sound=None), source._replace(video=None)):
                    found = self._described(part).description
                    if found is not None:
                        return Described(replace(found, notes=(*found.notes, str(error))))
            return Described(None, str(error))
        if description.video is None and description.sound is None:
            wanted = [name for name, file in (("video", source.video), ("audio", source.sound)) if file]
            return Described(None, f"{source.path}: no {' and no '.join(wanted)} in this file")
        return Described(description)


def open_sources(sources: Iterable[Source], overrides: Overrides = Overrides()) -> Generator[Opened, None, None]:
    """Opens clips; those that were not prepared are first described in another process.

    Args:
        sources: Clips.
        overrides: What the user states about the files.

    Yields:
        Their readers, in the same order.
    """
    pool: list[Worker[Source, Described]] = []
    try:
        for source in sources:
            known = Described(source.description)
            if source.description is None:
                if not pool:
                    pool.append(Worker(DescribeTask(overrides)))
                (known,) = work([source], pool)
            yield Opened(source, MediaReader(known.description) if known.description else None, known.error)
    finally:
        close(pool)


def read_scenes(reader: MediaReader, centres: Sequence[float], seconds: float) -> Iterator[Tensor]:
    """Reads sound around moments of a clip as first-order ambisonics.

    Mono sound becomes W. Stereo is treated as a pair of cardioids facing left and right: W + Y = 2 L and
    W - Y = 2 R, so that the stereo view reproduces it.

    Args:
        reader: Reader of a clip with sound.
        centres: Moments in seconds.
        seconds: Duration around each moment.

    Yields:
        float32 [4, seconds * 24000], W, Y, Z, X at 24 kHz; zeros before and after the track.

    Raises:
        UserError: If the file is damaged.
    """
    for centre in centres:
        if reader.sound.channels == 2:
            left, right = read_sound(reader.sound, centre, seconds, SAMPLE_RATE)
            yield torch.stack([left + right, left - right, torch.zeros_like(left), torch.zeros_like(left)])
        else:
            yield reader.scene(centre, seconds)


def flat_crops(frames: Tensor, size: int) -> Tensor:
    """Converts flat frames to an encoder input: scales the shorter side to `size` pixels and crops the centre.

    Args:
        frames: uint8 [F, H, W, 3], RGB.
        size: Side of the crop in pixels.

    Returns:
        float32 [1, 3, F, size, size], normalised like crops of 360° video.
    """
    height, width = frames.shape[1:3]
    scale = size / min(height, width)
    shape = (max(size, round(height * scale)), max(size, round(width * scale)))
    images = frames.permute(0, 3, 1, 2).float() / 255
    images = interpolate(images, shape, mode="bilinear", antialias=True)
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    images = images[:, :, top : top + size, left : left + size]
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((images - mean) / std).transpose(0, 1)[None]
