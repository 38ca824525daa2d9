"""Samples: frames and sound around one point in time of a clip, with crop directions and augmentation parameters.

A sample depends only on the seed, its number and the size of steps, not on the workers or on earlier reads, so a run
resumed at step N reads the same samples as an uninterrupted one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from avsa_fast.bounds import check_ranges
from avsa_fast.choices import CropChoice as CropChoice
from avsa_fast.errors import UserError

from .channels import require_ambisonic
from .directions import Detections, avc_direction, avsa_directions
from .frame_conversion import Planes
from .index import Index
from .projection import Projection
from .spans import ClipSpan, ClipSpans, SpanError, names_of
from .splits import splits_of
from .tables import DETECTIONS, read_columns, require_table
from .visits import Visits

HELD_OUT_TIME = 0.2  # share of the duration, at the end, that is held out if there is only one recording
ATTEMPTS = 16  # number of clips tried for a sample before it is reported as unreadable


@dataclass(frozen=True)
class SampleConfig:
    """Contents of a sample and augmentation of its crops; the defaults are the paper's.

    Attributes:
        crops: Directions of the crops: objects that YOLO detected, or random.
        views: Crops per AVSA sample, one in each of as many equal azimuth ranges.
        visits: Visits of each clip per epoch.
        moments: Samples taken from a clip per visit, in one step, as hard negatives for each other.
        frames: Frames per sample.
        fps: Frame rate of the samples, in Hz.
        max_height: Maximum number of rows per view; higher videos are scaled down while decoding.
        seconds: Duration of the sound.
        min_fov: Minimum horizontal field of view of training crops, in degrees.
        max_fov: Maximum horizontal field of view of training crops, in degrees.
        aspect: Maximum ratio of the sides of what a training crop shows, which is then scaled to a square; 1: a square.
        held_out_fov: Horizontal field of view of held-out crops, in degrees.
        jitter: Maximum change of the brightness, contrast and saturation factors.
        hue: Maximum hue shift, as a fraction of the hue circle.
        gain: Maximum relative change of the sound's gain.
        mel_mask: Maximum share of the mel bands that are masked in a training view (SpecAugment); 0: none.
        time_mask: Maximum share of a view's duration that is masked, likewise.

    Raises:
        UserError: If a value is out of range.
    """

    crops: CropChoice = "yolo"
    views: Literal[1, 4, 8] = 4
    visits: int = 2
    moments: int = 1
    frames: int = 8
    fps: float = 16.0
    max_height: int = 512
    seconds: float = 1.0
    min_fov: float = 45.0
    max_fov: float = 90.0
    aspect: float = 1.0
    held_out_fov: float = 65.0
    jitter: float = 0.4
    hue: float = 0.2
    gain: float = 0.1
    mel_mask: float = 0.0
    time_mask: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(
            self, "samples.", visits=(1, 1000), moments=(1, 1000), frames=(1, 128), fps=(0.1, 240),
            max_height=(8, 8192), seconds=(0.05, 60), min_fov=(1, 179), max_fov=(1, 179), aspect=(1, 4),
            held_out_fov=(1, 179), jitter=(0, 1), hue=(0, 0.5), gain=(0, 1), mel_mask=(0, 0.9), time_mask=(0, 0.9),
        )  # fmt: skip
        if self.min_fov > self.max_fov:
            raise UserError(f"samples.min_fov {self.min_fov} must be at most max_fov {self.max_fov}")


class Sample(NamedTuple):
    """Frames and sound around one point in time of a clip, with the parameters of its K views.

    Attributes:
        name: Name of the clip.
        projection: Projection of the frames.
        frames: uint8 RGB [F, H, W, 3], or YUV planes.
        sound: float32 [4, T], channels W, Y, Z, X; all but W are zero if the sound is not directional.
        directions: float32 [K, 2], azimuth and elevation, radians.
        fov: float32 [K], horizontal fields of view, radians.
        flip: bool [K], whether a view is mirrored.
        jitter: float32 [K, 4], brightness, contrast, saturation and hue; None without augmentation.
        failures: Clips that were tried first but could not be read: name to reason.
        aspect: float32 [K], ratios of width to height of what the crops show; None: 1.
        masks: float32 [K, 4], begin and end of the masked mel bands and of the masked time, as shares; None: no masks.
    """

    name: str
    projection: Projection
    frames: Tensor | Planes
    sound: Tensor
    directions: np.ndarray
    fov: np.ndarray
    flip: np.ndarray
    jitter: np.ndarray | None
    failures: dict[str, str]
    aspect: np.ndarray | None = None
    masks: np.ndarray | None = None


class Unreadable(NamedTuple):
    """Result in place of a sample if none of ATTEMPTS clips could be read; `failures` maps names to reasons."""

    failures: dict[str, str]


class Collection:
    """Usable clips of a prepared dataset: spans for training, validation and test, and the objects detected in them.

    Attributes:
        train: Spans to train on.
        validation: Spans that select the best checkpoint; none if the dataset is small.
        held_out: Spans to evaluate on.
        detections: Detected objects; empty for random crops.
        without_direction: Number of clips in the index without directional sound.
        split_in_time: Whether there is only one recording, and the end of its clips is held out from their beginning.
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
        directional = index.directional()
        self.without_direction = int((~directional).sum())
        if spatial and not directional.any():
            require_ambisonic(index[0][1])
        usable = directional if spatial else np.ones(len(index), bool)
        train, validation, test, self.split_in_time = splits_of(index, usable)
        cut = 1 - HELD_OUT_TIME if self.split_in_time else None
        self.train: Sequence[ClipSpan] = ClipSpans(index, train, (0.0, cut or 1.0))
        self.validation: Sequence[ClipSpan] = ClipSpans(index, validation)
        self.held_out: Sequence[ClipSpan] = ClipSpans(index, test, (cut or 0.0, 1.0))
        if not self.train:
            raise UserError(f"{data}: every usable clip is held out; list some of them in train.txt")
        if crops == "yolo":
            require_table(data, "detections.parquet")
        path = data / "detections.parquet"
        self.detections = Detections(read_columns(path, DETECTIONS) if crops == "yolo" else DETECTIONS.empty_table())


class Samples(Dataset[Sample | Unreadable]):
    """Map-style dataset of training or held-out samples, by number."""

    def __init__(
        self, collection: Collection, config: SampleConfig, *, seed: int, count: int, spatial: bool, augment: bool,
        per_step: int = 1, spans: Sequence[ClipSpan] | None = None, planes: bool = False,
    ) -> None:  # fmt: skip
        """Selects the spans to sample from.

        Args:
            collection: Clips of the dataset.
            config: Contents and augmentation of the samples.
            seed: Seed of all random choices.
            count: Number of samples.
            spatial: Whether a sample has K = 1, 4 or 8 views, one per azimuth range (AVSA), rather than one (AVC).
            augment: Whether to draw time, field of view, flip, jitter and gain at random from the training spans.
                Otherwise held-out spans are sampled at evenly spaced times with 4 views (AVSA), and only the
                directions are random.
            per_step: If augmenting, samples per step, over all ranks; `Visits` chooses the clips of each step.
            spans: Spans to sample from instead of the collection's.
            planes: Whether frames stay YUV planes, which halves the bytes to transfer. On a CPU, ops.gnomonic is
                faster with RGB.
        """
        self.spans = spans if spans is not None else collection.train if augment else collection.held_out
        self.detections = collection.detections
        self.config, self.seed, self.count = config, seed, count
        self.spatial, self.augment, self.planes = spatial, augment, planes
        self.per_step = per_step
        if augment:
            self.visits = Visits(
                names_of(self.spans), ceil(per_step / config.moments), config.visits, (seed, int(spatial))
            )

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Sample | Unreadable:
        """Reads one sample; if a clip cannot be read, tries others, up to ATTEMPTS in total."""
        failures: dict[str, str] = {}
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([self.seed, int(self.spatial), int(self.augment), number, attempt])
            position = self._position(number, attempt)
            try:
                span = self.spans[position]
                return self._read(span, self._moment(span, number, rng), rng)._replace(failures=failures)
            except SpanError as error:
                failures[error.name] = str(error)
            except UserError as error:
                failures[span.name] = str(error)
        return Unreadable(failures)

    def _position(self, number: int, attempt: int) -> int:
        """Position of a sample's span: as `Visits` orders them if augmenting, else one after the other."""
        if not self.augment:
            return (number + attempt * (attempt + 1) // 2) % len(self.spans)
        step, place = divmod(number, self.per_step)
        return self.visits.clip(step * self.visits.per_step + place // self.config.moments, attempt)

    def _moment(self, span: ClipSpan, number: int, rng: np.random.Generator) -> float:
        """Centre time of a sample, in seconds: random if augmenting, else evenly spaced per span."""
        if self.augment:
            moments = self.config.moments
            position = (number % self.per_step % moments + rng.random()) / moments
        else:
            position = (number // len(self.spans) + 0.5) / max(1, self.count // len(self.spans))
        return span.moment(min(position, 1.0), self.config.seconds / 2)

    def _read(self, span: ClipSpan, moment: float, rng: np.random.Generator) -> Sample:
        """Reads the sample at a given time and draws its augmentation."""
        config = self.config
        directions = self._directions(span.name, moment, rng)
        K = len(directions)
        fov, flip, jitter, gain = np.full(K, config.held_out_fov), np.zeros(K, bool), None, 1.0
        aspect = masks = None
        if self.augment:
            fov = rng.uniform(config.min_fov, config.max_fov, K)
            flip = rng.random(K) < 0.5
            spreads = [config.jitter, config.jitter, config.jitter, config.hue]
            jitter = ([1, 1, 1, 0] + rng.uniform(-1, 1, (K, 4)) * spreads).astype(np.float32)
            gain += rng.uniform(-config.gain, config.gain)
            if config.aspect > 1:
                spread = log(config.aspect)
                aspect = np.exp(rng.uniform(-spread, spread, K)).astype(np.float32)
            if config.mel_mask or config.time_mask:
                widths = rng.random((K, 2)) * [config.mel_mask, config.time_mask]
                begins = rng.random((K, 2)) * (1 - widths)
                masks = np.stack([begins, begins + widths], axis=2).reshape(K, 4).astype(np.float32)
        read = span.reader.planes if self.planes else span.reader.frames
        sound = span.reader.scene(moment, config.seconds)
        return Sample(
            name=span.name,
            projection=span.projection,
            frames=read(moment, config.frames, config.fps, config.max_height),
            sound=sound * gain,
            directions=directions.astype(np.float32),
            fov=np.radians(fov).astype(np.float32),
            flip=flip,
            jitter=jitter,
            failures={},
            aspect=aspect,
            masks=masks,
        )

    def _directions(self, name: str, moment: float, rng: np.random.Generator) -> np.ndarray:
        """Directions [K, 2] of a sample's views, radians."""
        objects = self.detections.at(name, moment)
        if self.spatial:
            return avsa_directions(objects, rng, self.config.views if self.augment else 4)
        return avc_direction(objects, rng)[None]
