"""Configuration of a training run: its fields, the presets, and reading and writing config.yaml."""

from dataclasses import asdict, dataclass, field, replace
from math import ceil, cos, pi
from pathlib import Path
from typing import Any, Literal

import dacite
import yaml

from avsa_fast.bounds import check_ranges, shortened
from avsa_fast.choices import Precision as Precision
from avsa_fast.choices import Stages as Stages
from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.data.views import AUDIO_CHANNELS, ViewConfig
from avsa_fast.data.visits import steps_per_epoch
from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.models import ModelConfig
from avsa_fast.yaml_files import read_yaml

Stage = Literal["avc", "avsa"]
STAGES: tuple[Stage, ...] = ("avc", "avsa")
MAX_PATH = 4096  # characters
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 1.0  # of a learned temperature


@dataclass(frozen=True)
class Config:
    """Configuration of a run: the keys of config.yaml. The defaults are those of Wang et al. 2022.

    Attributes:
        preset: Name of the preset that the other values started from.
        data: Dataset folder.
        seed: Seed of weights, samples and augmentation.
        samples: Contents of a sample, and augmentation.
        views: How crops and features are computed.
        model: Sizes of the network.
        stages: "avc" ends after the first stage and also accepts sound without direction.
        batch: Crops per step, over all ranks: this many clips for AVC, and this many divided by `samples.views` for
            AVSA, which takes several crops of each clip.
        epochs: Total number of epochs of both stages; an epoch has `samples.visits` visits to each clip, and as many
            steps as these fill.
        steps: Total number of optimiser steps of both stages; overrides `epochs`.
        avc_share: Share of the epochs or steps for AVC, 0 to 1; AVSA gets the rest.
        temperature: Temperature of the contrastive losses.
        learn_temperature: Whether the temperature is learned (as its logarithm, kept within 0.01 and 1), starting from
            `temperature`.
        cache_chunk: Number of samples of a rank whose graph is in memory at a time (gradient cache), for large batches;
            None: the whole batch. It needs `model.norm` "group" or `batch_norm` "frozen".
        recompute: Whether the backward pass recomputes the encoders' layers block by block instead of keeping them
            (activation checkpointing), for large batches with any norm; the encoders are then not compiled.
        negatives: Negatives of AVSA: all crops of the batch, or "joint": only crops of the same clip or with the same
            crop number.
        mask_recordings: Whether other samples of the same recording are left out of the negatives.
        learning_rate: Learning rate of Adam.
        schedule: "cosine" decays the learning rate until the end of each stage.
        final_rate: Learning rate at the end of a cosine schedule, as a share of `learning_rate`.
        warmup: Share of a stage's steps in which the learning rate rises linearly from 0.
        weight_decay: Weight decay of Adam.
        decay_norms: Whether weight decay includes the norms' weights and all biases.
        clip_norm: Norm of the gradient above which it is scaled down to it; None: never.
        ema: Decay per step of the moving average of the weights that is evaluated and saved; 0: the weights themselves.
            In the first steps it is lower.
        precision: "bf16" runs the network in mixed precision; GPU only.
        loss_precision: Precision of the products of the contrastive losses, as in `ops.info_nce`.
        compile: Whether the encoders are compiled with torch.compile; GPU only.
        batch_norm: Whether BatchNorm statistics are those of each rank's batch, of all ranks' ("sync"), or always those
            of the run's first batch on the first rank ("frozen").
        checkpoint_every: Steps from one checkpoint to the next.
        evaluate_every: Steps from one held-out evaluation to the next; they select the best checkpoint.
        held_out_samples: Maximum number of samples per held-out evaluation.

    Raises:
        UserError: If a value is out of range.
    """

    preset: str = "paper"
    data: str = ""
    seed: int = 0
    samples: SampleConfig = field(default_factory=SampleConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    stages: Stages = "both"
    batch: int = 112
    epochs: int = 100
    steps: int | None = None
    avc_share: float = 0.5
    temperature: float = 0.07
    learn_temperature: bool = False
    cache_chunk: int | None = None
    recompute: bool = False
    negatives: Literal["all", "joint"] = "all"
    mask_recordings: bool = False
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    final_rate: float = 0.01
    warmup: float = 0.0
    weight_decay: float = 1e-5
    decay_norms: bool = True
    clip_norm: float | None = None
    ema: float = 0.0
    precision: Precision = "fp32"
    loss_precision: Literal["fp32", "tf32", "3xtf32", "bf16"] = "fp32"
    compile: bool = True
    batch_norm: Literal["local", "sync", "frozen"] = "local"
    checkpoint_every: int = 200
    evaluate_every: int = 1000
    held_out_samples: int = 256

    def __post_init__(self) -> None:
        check_ranges(
            self, seed=(0, 2**63 - 1), batch=(self.samples.views, 65536), epochs=(1, 10**6), steps=(1, 10**8),
            avc_share=(0, 1), temperature=(1e-4, 100), cache_chunk=(2, 65536), learning_rate=(1e-12, 100),
            final_rate=(0, 1), warmup=(0, 0.999), weight_decay=(0, 100), clip_norm=(1e-9, 1e9), ema=(0, 0.999999),
            checkpoint_every=(1, 10**8), evaluate_every=(1, 10**8),
            held_out_samples=(1, 10**6),
        )  # fmt: skip
        if "\0" in self.data or len(self.data) > MAX_PATH:
            raise UserError(f"data {shortened(repr(self.data))} must be a path of at most {MAX_PATH} characters")
        if self.learn_temperature and not MIN_TEMPERATURE <= self.temperature <= MAX_TEMPERATURE:
            raise UserError(
                f"temperature {self.temperature} must be within {MIN_TEMPERATURE} and {MAX_TEMPERATURE:g} to be learned"
            )
        if self.cache_chunk is not None and self.model.norm == "batch" and self.batch_norm != "frozen":
            raise UserError(
                f"cache_chunk {self.cache_chunk} needs model.norm group or batch_norm frozen: BatchNorm would use the "
                "statistics of each chunk; recompute: true saves memory with BatchNorm"
            )
        if self.mask_recordings and self.samples.moments > 1:
            raise UserError(
                f"mask_recordings leaves out the negatives that samples.moments {self.samples.moments} adds; set one"
            )
        if self.samples.seconds * SAMPLE_RATE < self.views.n_fft:
            raise UserError(
                f"views.n_fft {self.views.n_fft} must be at most the {self.samples.seconds * SAMPLE_RATE:.0f} samples "
                f"of sound in samples.seconds {self.samples.seconds}"
            )

    @property
    def spatial(self) -> bool:
        """Whether the run needs sound with direction (ambisonic, not mono)."""
        return self.stages == "both" or self.views.audio != "mono"

    def clips_per_step(self, stage: Stage) -> int:
        """Returns the number of samples per step of a stage, over all ranks.

        Args:
            stage: "avc" or "avsa".
        """
        return self.batch if stage == "avc" else self.batch // self.samples.views

    def stage_steps(self, clips: int) -> dict[Stage, int]:
        """Computes the number of optimiser steps per stage.

        Args:
            clips: Number of training clips in the dataset.

        Returns:
            Steps by stage, in training order.
        """
        share = self.avc_share if self.stages == "both" else 1.0
        if self.steps is not None:
            avc = round(self.steps * share)
            return {"avc": avc, "avsa": self.steps - avc}
        epochs = round(self.epochs * share)
        avc, avsa = (
            steps_per_epoch(clips, ceil(self.clips_per_step(stage) / self.samples.moments), self.samples.visits)
            for stage in STAGES
        )
        return {"avc": epochs * avc, "avsa": (self.epochs - epochs) * avsa}

    def learning_rate_at(self, progress: float) -> float:
        """Computes the learning rate at a point of the schedule.

        Args:
            progress: Progress through the stage, 0 to 1.

        Returns:
            The learning rate.
        """
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        decay = (1 + cos(pi * (progress - self.warmup) / (1 - self.warmup))) / 2
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * decay)


_PAPER = Config(model=ModelConfig(video_pooling="max"))
# The same method at sizes that train in minutes on two CPU cores.
_TINY = Config(
    preset="tiny",
    samples=SampleConfig(visits=1, max_height=192),
    views=ViewConfig(crop_size=40, n_mels=64),
    model=ModelConfig(video_width=16, video_blocks=(1, 1, 1, 1), audio_width=16, transformer_ffn=512),
    batch=32,
    steps=240,
    avc_share=0.45,
    learning_rate=1e-3,
    evaluate_every=80,
    held_out_samples=96,
)
PRESETS = {"paper": _PAPER, "tiny": _TINY}


def config_text(config: Config) -> str:
    """Returns a configuration as YAML.

    Args:
        config: The configuration.
    """
    values = asdict(config)
    values["model"]["video_blocks"] = list(config.model.video_blocks)  # YAML has no tuples
    return str(yaml.safe_dump(values, sort_keys=False))


def save_config(config: Config, path: Path) -> None:
    """Writes a configuration as YAML, replacing the file atomically.

    Args:
        config: Configuration to write.
        path: File to write.

    Raises:
        WriteError: It cannot be written.
    """
    write_text(path, config_text(config))


def load_config(path: Path, base: Config | None = None) -> Config:
    """Reads a configuration from YAML.

    Args:
        path: A config.yaml; it may hold only some of the keys.
        base: Values of the missing keys; None: the defaults of `Config`.

    Returns:
        The configuration, with `model.audio_channels` set from `views.audio`.

    Raises:
        UserError: If the file cannot be read, a key is unknown or a value is invalid; the message names the file.
    """
    values = read_yaml(path, "a run's configuration")
    try:
        if base is not None:
            values = _merged(asdict(base), values)
        config = dacite.from_dict(Config, values, dacite.Config(strict=True, cast=[tuple]))
    except (TypeError, ValueError, OverflowError, dacite.DaciteError, UserError) as error:
        raise UserError(f"{path}: not a run's configuration: {shortened(error)}") from error
    # The audio representation determines the encoder's input channels.
    return replace(config, model=replace(config.model, audio_channels=AUDIO_CHANNELS[config.views.audio]))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merges nested dictionaries; values in `changes` take precedence."""
    return base | {
        name: _merged(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
        for name, value in changes.items()
    }
