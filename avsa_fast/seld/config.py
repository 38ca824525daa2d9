"""Configuration of a detector: how it was trained, and the inputs of its encoder; seld.yaml keeps it."""

from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path

import dacite
import yaml

from avsa_fast.bounds import check_ranges, shortened
from avsa_fast.choices import SeldMode, SeldNeck
from avsa_fast.data.sound_events import FRAME_SECONDS
from avsa_fast.data.views import ViewConfig
from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.yaml_files import read_yaml

CONFIG, WEIGHTS = "seld.yaml", "weights.safetensors"  # files of a detector's folder
WARMUP = 0.1  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class SeldConfig:
    """How a detector is trained.

    Attributes:
        mode: Whether the encoder is trained too, frozen, or starts from random weights.
        neck: The network over time.
        classes: Number of classes.
        width: Values of the network over time.
        depth: Its layers.
        steps: Optimiser steps.
        batch: Excerpts per step.
        seconds: Duration of an excerpt.
        minutes: Minutes of the training recordings to use; None: all.
        learning_rate: Peak learning rate of Adam.
        encoder_rate: Learning rate of the encoder that is fine-tuned, as a fraction of the other.
        mask: Greatest share of the mel bands, and of the frames, that SpecAugment hides.
        checkpoint_every: Steps from one checkpoint to the next.
        seed: Seed of weights, excerpts and augmentation.

    Raises:
        UserError: If a value is out of range.
    """

    mode: SeldMode = "finetune"
    neck: SeldNeck = "gru"
    classes: int = 13
    width: int = 128
    depth: int = 2
    steps: int = 5000
    batch: int = 16
    seconds: float = 5.0
    minutes: float | None = None
    learning_rate: float = 1e-3
    encoder_rate: float = 0.1
    mask: float = 0.1
    checkpoint_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self, classes=(1, 1000), width=(8, 2048), depth=(1, 16), steps=(1, 10**8), batch=(1, 1024),
            seconds=(1, 60), minutes=(0.01, 100_000), learning_rate=(1e-12, 100), encoder_rate=(0, 10), mask=(0, 0.9),
            checkpoint_every=(1, 10**8), seed=(0, 2**63 - 1),
        )  # fmt: skip
        if self.width % 8:
            raise UserError(f"width {self.width} must be a multiple of 8")

    @property
    def frames(self) -> int:
        """Frames of 100 ms in an excerpt."""
        return round(self.seconds / FRAME_SECONDS)

    def learning_rate_at(self, progress: float) -> float:
        """Computes the learning rate at a point of the training.

        Args:
            progress: Progress through the steps, 0 to 1.
        """
        if progress < WARMUP:
            return self.learning_rate * progress / WARMUP
        return self.learning_rate * (1 + cos(pi * (progress - WARMUP) / (1 - WARMUP))) / 2


@dataclass(frozen=True)
class DetectorConfig:
    """A detector: its training, and the encoder of the run that it was made from.

    Attributes:
        seld: How it is trained.
        views: How features are computed.
        audio_width: Channels of the audio encoder's first layer.

    Raises:
        UserError: If a value is out of range, or the features have no direction.
    """

    seld: SeldConfig
    views: ViewConfig
    audio_width: int

    def __post_init__(self) -> None:
        check_ranges(self, audio_width=(1, 1024))
        if self.views.audio != "foa_iv":
            raise UserError(f"sound {self.views.audio}: detection needs a run that was trained with --audio foa_iv")


def save_config(config: DetectorConfig, folder: Path) -> None:
    """Writes a detector's configuration.

    Args:
        config: The configuration.
        folder: Folder of the detector.

    Raises:
        WriteError: It cannot be written.
    """
    write_text(folder / CONFIG, str(yaml.safe_dump(asdict(config), sort_keys=False)))


def load_config(folder: Path) -> DetectorConfig:
    """Reads a detector's configuration.

    Args:
        folder: Folder of the detector.

    Raises:
        UserError: The folder is not one of a detector, or the file is not valid.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: not the folder of a detector: no {CONFIG}; seld train writes one")
    values = read_yaml(path, "a detector's configuration")
    try:
        return dacite.from_dict(DetectorConfig, values, dacite.Config(strict=True))
    except (TypeError, ValueError, OverflowError, dacite.DaciteError, UserError) as error:
        raise UserError(f"{path}: not a detector's configuration: {shortened(error)}") from error
