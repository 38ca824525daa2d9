"""Configuration of a training run: its fields, the presets, and reading and writing config.yaml."""

from dataclasses import asdict, dataclass, field, replace
from math import cos, pi
from pathlib import Path
from typing import Any, Literal

import dacite
import yaml

from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.views import AUDIO_CHANNELS, ViewConfig
from avsa_fast.errors import UserError
from avsa_fast.files import replacing
from avsa_fast.models import ModelConfig

Precision = Literal["fp32", "bf16"]
Stage = Literal["avc", "avsa"]
Stages = Literal["both", "avc"]


@dataclass(frozen=True)
class Config:
    """Configuration of a run; the defaults are those of Wang et al. 2022."""

    preset: str = "paper"
    data: str = ""  # the dataset folder
    seed: int = 0
    samples: SampleConfig = field(default_factory=SampleConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    stages: Stages = "both"
    batch: int = 112  # crops per step over all ranks: one per clip for AVC, samples.views per clip for AVSA
    epochs: int = 100  # total of all stages; an epoch draws samples.moments samples from each clip
    steps: int | None = None  # total optimiser steps of all stages; overrides epochs
    avc_share: float = 0.5  # share of the epochs or steps for AVC; AVSA gets the rest
    temperature: float = 0.07
    learn_temperature: bool = False  # starting from `temperature`
    cache_chunk: int | None = None  # samples per chunk of the gradient cache, for large batches on one rank; None: off
    negatives: Literal["all", "joint"] = "all"  # AVSA only; joint: crops of the same clip or with the same crop number
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"  # cosine: decays to 0 at the end of each stage
    warmup: float = 0.0  # share of a stage's steps in which the learning rate rises linearly from 0
    weight_decay: float = 1e-5
    precision: Precision = "fp32"
    compile: bool = True  # compile the encoders with torch.compile; GPU only
    batch_norm: Literal["local", "sync"] = "local"  # statistics per rank, or over all ranks
    checkpoint_every: int = 200  # steps
    evaluate_every: int = 1000  # steps between held-out evaluations, which select the best checkpoint
    held_out_samples: int = 256  # maximum number of samples per held-out evaluation

    def __post_init__(self) -> None:
        """Raises UserError if a value is out of range."""
        views = self.samples.views
        for name, right, wanted in (
            ("seed", self.seed >= 0, "at least 0"),
            ("batch", self.batch >= views, f"at least {views}, the crops of one sample"),
            ("steps", self.steps is None or self.steps >= 1, "at least 1"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("avc_share", 0 <= self.avc_share <= 1, "within 0 and 1"),
            ("temperature", self.temperature > 0, "above 0"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("warmup", 0 <= self.warmup < 1, "at least 0 and below 1"),
            ("cache_chunk", self.cache_chunk is None or self.cache_chunk >= 2, "at least 2"),
            ("checkpoint_every", self.checkpoint_every >= 1, "at least 1"),
            ("evaluate_every", self.evaluate_every >= 1, "at least 1"),
        ):
            if not right:
                raise UserError(f"{name} {getattr(self, name)} must be {wanted}")

    @property
    def spatial(self) -> bool:
        """Whether the run needs sound with direction (ambisonic, not mono)."""
        return self.stages == "both" or self.views.audio != "mono"

    def clips_a_step(self, stage: Stage) -> int:
        """Returns the number of samples per step of a stage, over all ranks."""
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
        epochs, samples = round(self.epochs * share), clips * self.samples.moments
        return {
            "avc": epochs * max(1, samples // self.clips_a_step("avc")),
            "avsa": (self.epochs - epochs) * max(1, samples // self.clips_a_step("avsa")),
        }

    def rate_at(self, share: float) -> float:
        """Computes the learning rate.

        Args:
            share: Progress through the stage, 0 to 1.

        Returns:
            The learning rate at that point of the schedule.
        """
        if share < self.warmup:
            return self.learning_rate * share / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + cos(pi * (share - self.warmup) / (1 - self.warmup))) / 2


_PAPER = Config()
# The same method at sizes that train in minutes on two CPU cores.
_TINY = Config(
    preset="tiny",
    samples=SampleConfig(max_height=192),
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


def save_config(config: Config, path: Path) -> None:
    """Writes a configuration as YAML, replacing the file atomically."""
    values = asdict(config)
    values["model"]["video_blocks"] = list(config.model.video_blocks)  # YAML has no tuples
    with replacing(path) as part:
        part.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


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
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if base is not None:
            values = _merged(asdict(base), values)
        config = dacite.from_dict(Config, values, dacite.Config(strict=True, cast=[tuple]))
    except (OSError, UnicodeDecodeError, TypeError, yaml.YAMLError, dacite.DaciteError, UserError) as error:
        raise UserError(f"{path}: not a run's configuration: {error}") from error
    # The audio representation determines the encoder's input channels.
    return replace(config, model=replace(config.model, audio_channels=AUDIO_CHANNELS[config.views.audio]))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merges nested dictionaries; values in `changes` take precedence."""
    return base | {
        name: _merged(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
        for name, value in changes.items()
    }
