"""Samples: one moment of a clip, with the directions and the augmentation of its crops.

A sample depends only on the seed and its number, not on workers or on what was read before: a run resumed at step N
reads what the uninterrupted one would have.
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
from .tables import DETECTIONS, read_table
from .video import Planes, read_frames, read_planes

CropChoice = Literal["yolo", "random"]
SAMPLE_RATE = 24000  # Hz, of the samples' sound
# A clip that stands alone is held out by time: its last fifth.
HELD_OUT_TIME = 0.2
# Clips tried, where one cannot be read, before a sample is given up.
ATTEMPTS = 16


@dataclass(frozen=True)
class SampleConfig:
    """What a sample holds and how its crops are augmented; the defaults are the paper's."""

    crops: CropChoice = "yolo"  # where crops look: at detected objects, or anywhere
    views: Literal[4, 8] = 4  # crops of an AVSA sample, one in each equal range of azimuths
    moments: int = 1  # samples that follow each other and are of one clip: each other's hard negatives
    frames: int = 8
    fps: float = 16.0
    max_height: int = 512  # of the sphere's picture; higher ones are scaled down as they are decoded
    seconds: float = 1.0  # of sound
    min_fov: float = 45.0  # degrees
    max_fov: float = 90.0
    held_out_fov: float = 65.0
    jitter: float = 0.4  # of brightness, contrast and saturation
    hue: float = 0.2
    gain: float = 0.1  # of the sound


class Sample(NamedTuple):
    """One moment of a clip and the K views of it."""

    name: str  # of the clip
    projection: Layout  # of the frames
    frames: Tensor | Planes  # [F, H, W, 3] uint8 RGB, or as decoders give them
    sound: Tensor  # [4, T] float32, W Y Z X; only W for sound without direction
    directions: np.ndarray  # [K, 2] float32, azimuth and elevation
    fov: np.ndarray  # [K] float32, radians
    flip: np.ndarray  # [K] bool
    jitter: np.ndarray | None  # [K, 4] float32: brightness, contrast, saturation, hue
    failures: dict[str, str]  # clips that could not be read in its place, with the reason


class Unreadable(NamedTuple):
    """What there is instead of a sample where many clips in a row cannot be read."""

    failures: dict[str, str]


@dataclass(frozen=True)
class Source:
    """A clip that samples are taken from, and the part of it that they may come from."""

    name: str
    video: Path
    sound: Path
    channel_map: list[int]
    begin: float  # seconds
    end: float
    projection: Layout = "erp"

    def moment(self, share: float, margin: float) -> float:
        """The time at a share of the source, its sound within the source where that is long enough."""
        if self.end - self.begin <= 2 * margin:
            return (self.begin + self.end) / 2
        return self.begin + margin + share * (self.end - self.begin - 2 * margin)


class Collection:
    """A prepared dataset's usable clips: training and held-out sources, and the objects detected in them.

    spatial: only clips whose sound has a direction are usable; `without_direction` counts the others.
    Raises UserError where the dataset is not prepared or has no clip to train on.
    """

    def __init__(self, data: Path, crops: CropChoice, *, spatial: bool = True) -> None:
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
        self.detections = Detections(read_table(data / "detections.parquet", DETECTIONS) if crops == "yolo" else [])


class Sources(Sequence[Source]):
    """The sources of some of an index's clips, each made when it is asked for."""

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
    """The samples that training or its final figures read, by number.

    spatial: K = 4 or 8 views, one in each range of azimuths (AVSA), else one (AVC). augment: random moment, field of
    view, flip, jitter and gain; else evenly spaced moments, 4 views, and nothing else drawn than the directions.
    planes: frames stay in YUV planes, half the bytes to hand over; ops.gnomonic reads RGB faster on a CPU.
    """

    def __init__(
        self, collection: Collection, config: SampleConfig, *, seed: int, count: int, spatial: bool, augment: bool,
        planes: bool = False,
    ) -> None:  # fmt: skip
        self.sources = collection.train if augment else collection.held_out
        self.detections = collection.detections
        self.config, self.seed, self.count = config, seed, count
        self.spatial, self.augment, self.planes = spatial, augment, planes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Sample | Unreadable:
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
        """Every clip once an epoch, in an order drawn anew for each; another one where that cannot be read."""
        visit = number // self.config.moments if self.augment else number
        epoch, place = divmod(visit + attempt * (attempt + 1) // 2, len(self.sources))
        if not self.augment:
            return self.sources[place]
        return self.sources[_order(len(self.sources), self.seed, epoch)[place]]

    def _moment(self, source: Source, number: int, rng: np.random.Generator) -> float:
        if self.augment:
            moments = self.config.moments
            share = (number % moments + rng.random()) / moments
        else:
            share = (number // len(self.sources) + 0.5) / max(1, self.count // len(self.sources))
        return source.moment(min(share, 1.0), self.config.seconds / 2)

    def _read(self, source: Source, moment: float, rng: np.random.Generator) -> Sample:
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
        objects = self.detections.at(name, moment)
        if self.spatial:
            return avsa_directions(objects, rng, self.config.views if self.augment else 4)
        return avc_direction(objects, rng)[None]


@lru_cache(maxsize=2)
def _order(clips: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(clips)
