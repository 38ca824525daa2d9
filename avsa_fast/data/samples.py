"""Samples: frames and sound around one point in time of a clip, with crop directions and augmentation parameters.

A sample depends only on the seed and its number, not on the workers or on earlier reads, so a run resumed at step N
reads the same samples as an uninterrupted one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, overload

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from avsa_fast.errors import UserError

from .channels import read_ambisonic, require_ambisonic
from .directions import Detections, avc_direction, avsa_directions
from .index import Index
from .projection import SOURCES
from .projection import Source as Layout
from .tables import DETECTIONS, read_table, require_table
from .video import Planes, read_frames, read_planes

CropChoice = Literal["yolo", "random"]
SAMPLE_RATE = 24000  # Hz
# If there is only one clip, this share of its duration, at the end, is held out.
HELD_OUT_TIME = 0.2
# Number of clips tried for a sample before it is reported as unreadable.
ATTEMPTS = 16


@dataclass(frozen=True)
class SampleConfig:
    """Contents of a sample and augmentation of its crops; the defaults are the paper's.

    Attributes:
        crops: Directions of the crops: objects that YOLO detected, or random.
        views: Crops per AVSA sample, one in each of as many equal azimuth ranges.
        moments: Consecutive samples taken from the same clip, as hard negatives for each other.
        frames: Frames per sample.
        fps: Frame rate of the samples, in Hz.
        max_height: Maximum number of rows per view; higher videos are scaled down while decoding.
        seconds: Duration of the sound.
        min_fov: Minimum horizontal field of view of training crops, in degrees.
        max_fov: Maximum horizontal field of view of training crops, in degrees.
        held_out_fov: Horizontal field of view of held-out crops, in degrees.
        jitter: Maximum change of the brightness, contrast and saturation factors.
        hue: Maximum hue shift.
        gain: Maximum relative change of the sound's gain.
    """

    crops: CropChoice = "yolo"
    views: Literal[4, 8] = 4
    moments: int = 1
    frames: int = 8
    fps: float = 16.0
    max_height: int = 512
    seconds: float = 1.0
    min_fov: float = 45.0
    max_fov: float = 90.0
    held_out_fov: float = 65.0
    jitter: float = 0.4
    hue: float = 0.2
    gain: float = 0.1


class Sample(NamedTuple):
    """Frames and sound around one point in time of a clip, with the parameters of its K views."""

    name: str  # of the clip
    projection: Layout  # of the frames
    frames: Tensor | Planes  # [F, H, W, 3] uint8 RGB, or YUV planes
    sound: Tensor  # [4, T] float32, channels W Y Z X; without directional sound all but W are zero
    directions: np.ndarray  # [K, 2] float32, azimuth and elevation, radians
    fov: np.ndarray  # [K] float32, radians
    flip: np.ndarray  # [K] bool
    jitter: np.ndarray | None  # [K, 4] float32: brightness, contrast, saturation, hue
    failures: dict[str, str]  # clips that were tried first but could not be read: name to reason


class Unreadable(NamedTuple):
    """Returned instead of a sample if none of ATTEMPTS clips could be read."""

    failures: dict[str, str]


@dataclass(frozen=True)
class Source:
    """A clip, and the time range of it that samples are taken from."""

    name: str
    video: Path
    sound: Path
    channel_map: list[int]
    begin: float  # seconds from the start of the file
    end: float
    projection: Layout = "erp"

    def moment(self, share: float, margin: float) -> float:
        """Maps a relative position to a sample's centre time.

        Args:
            share: Position within the usable range, 0 to 1.
            margin: Seconds to keep from both ends of the source, if it is long enough.

        Returns:
            Seconds from the start of the file; the middle of the source if it is shorter than two margins.
        """
        if self.end - self.begin <= 2 * margin:
            return (self.begin + self.end) / 2
        return self.begin + margin + share * (self.end - self.begin - 2 * margin)


class Collection:
    """Usable clips of a prepared dataset: training and held-out sources, and the objects detected in them.

    Attributes:
        train: Sources to train on.
        held_out: Sources to evaluate on.
        detections: Detected objects; empty for random crops.
        without_direction: Number of clips in the index without directional sound.
    """

    def __init__(self, data: Path, crops: CropChoice, *, spatial: bool = True) -> None:
        """Reads the index, and the detections if crops need them.

        Args:
            data: Dataset folder.
            crops: Crop directions: detected objects ("yolo"), or random.
            spatial: Whether to skip clips without directional sound.

        Raises:
            UserError: The dataset is not prepared or has no clip to train on.
        """
        index = Index(data)
        directed = index.directed()
        self.without_direction = int((~directed).sum())
        if spatial and not directed.any():
            require_ambisonic(index[0][1])
        usable = directed if spatial else np.ones(len(index), bool)
        trained_on = index.trained_on()
        self.train: Sequence[Source] = Sources(index, np.flatnonzero(usable & trained_on))
        self.held_out: Sequence[Source] = Sources(index, np.flatnonzero(usable & ~trained_on))
        if usable.sum() == 1:
            (only,) = [*self.train, *self.held_out]
            cut = only.end * (1 - HELD_OUT_TIME)
            self.train, self.held_out = [replace(only, end=cut)], [replace(only, begin=cut)]
        if not self.train:
            raise UserError(f"{data}: every usable clip is held out; train.txt must name some of them")
        if crops == "yolo":
            require_table(data, "detections.parquet")
        self.detections = Detections(read_table(data / "detections.parquet", DETECTIONS) if crops == "yolo" else [])


class Sources(Sequence[Source]):
    """Lazy sequence of the sources of some of an index's clips."""

    def __init__(self, index: Index, numbers: np.ndarray) -> None:
        self._index, self._numbers = index, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, number: int) -> Source: ...
    @overload
    def __getitem__(self, number: slice) -> list[Source]: ...
    def __getitem__(self, number: int | slice) -> Source | list[Source]:
        if isinstance(number, slice):
            return [self[i] for i in range(len(self))[number]]
        clip, row = self._index[int(self._numbers[number])]
        assert clip.video is not None
        assert clip.sound is not None
        end, projection = row["seconds"], row["projection"] or SOURCES[0]
        return Source(clip.name, clip.video, clip.sound, row["channel_map"], 0.0, end, projection)


class Samples(Dataset[Sample | Unreadable]):
    """Map-style dataset of training or held-out samples, by number."""

    def __init__(
        self, collection: Collection, config: SampleConfig, *, seed: int, count: int, spatial: bool, augment: bool,
        planes: bool = False,
    ) -> None:  # fmt: skip
        """Selects the sources to sample from.

        Args:
            collection: Clips of the dataset.
            config: Contents and augmentation of the samples.
            seed: Seed of all random choices.
            count: Number of samples.
            spatial: Whether a sample has K = 4 or 8 views, one per azimuth range (AVSA), rather than one (AVC).
            augment: Whether to draw time, field of view, flip, jitter and gain at random from the training sources.
                Otherwise held-out sources are sampled at evenly spaced times with 4 views (AVSA), and only the
                directions are random.
            planes: Whether frames stay YUV planes, which halves the bytes to transfer. On a CPU, ops.gnomonic is
                faster with RGB.
        """
        self.sources = collection.train if augment else collection.held_out
        self.detections = collection.detections
        self.config, self.seed, self.count = config, seed, count
        self.spatial, self.augment, self.planes = spatial, augment, planes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Sample | Unreadable:
        """Reads one sample; if a clip cannot be read, tries others, up to ATTEMPTS in total."""
        failures: dict[str, str] = {}
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([self.seed, int(self.spatial), int(self.augment), number, attempt])
            source = self._source(number, attempt)
            try:
                return self._read(source, self._moment(source, number, rng), rng)._replace(failures=failures)
            except UserError as error:
                failures[source.name] = str(error)
        return Unreadable(failures)

    def _source(self, number: int, attempt: int) -> Source:
        """Source of a sample: each clip once per epoch, shuffled per epoch if augmenting; later attempts differ."""
        visit = number // self.config.moments if self.augment else number
        epoch, place = divmod(visit + attempt * (attempt + 1) // 2, len(self.sources))
        if not self.augment:
            return self.sources[place]
        return self.sources[_order(len(self.sources), self.seed, epoch)[place]]

    def _moment(self, source: Source, number: int, rng: np.random.Generator) -> float:
        """Centre time of a sample, in seconds: random if augmenting, else evenly spaced per source."""
        if self.augment:
            moments = self.config.moments
            share = (number % moments + rng.random()) / moments
        else:
            share = (number // len(self.sources) + 0.5) / max(1, self.count // len(self.sources))
        return source.moment(min(share, 1.0), self.config.seconds / 2)

    def _read(self, source: Source, moment: float, rng: np.random.Generator) -> Sample:
        """Reads the sample at a given time and draws its augmentation."""
        config = self.config
        directions = self._directions(source.name, moment, rng)
        K = len(directions)
        fov, flip, jitter, gain = np.full(K, config.held_out_fov), np.zeros(K, bool), None, 1.0
        if self.augment:
            fov = rng.uniform(config.min_fov, config.max_fov, K)
            flip = rng.random(K) < 0.5
            spread = [config.jitter, config.jitter, config.jitter, config.hue]
            jitter = ([1, 1, 1, 0] + rng.uniform(-1, 1, (K, 4)) * spread).astype(np.float32)
            gain += rng.uniform(-config.gain, config.gain)
        read = read_planes if self.planes else read_frames
        sound = read_ambisonic(source.sound, source.channel_map, moment, config.seconds, SAMPLE_RATE)
        rows = config.max_height * (2 if source.projection == "erp_top" else 1)
        return Sample(
            name=source.name,
            projection=source.projection,
            frames=read(source.video, moment, config.frames, config.fps, rows),
            sound=sound * gain,
            directions=directions.astype(np.float32),
            fov=np.radians(fov).astype(np.float32),
            flip=flip,
            jitter=jitter,
            failures={},
        )

    def _directions(self, name: str, moment: float, rng: np.random.Generator) -> np.ndarray:
        """Directions [K, 2] of a sample's views, radians."""
        objects = self.detections.at(name, moment)
        if self.spatial:
            return avsa_directions(objects, rng, self.config.views if self.augment else 4)
        return avc_direction(objects, rng)[None]


@lru_cache(maxsize=2)
def _order(clips: int, seed: int, epoch: int) -> np.ndarray:
    """Random order of the clips in one epoch."""
    return np.random.default_rng([seed, epoch]).permutation(clips)
