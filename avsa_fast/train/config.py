"""Every choice of a training run, its presets, and how it is kept in the run's folder."""

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
    """A run's choices; the defaults are the paper's (Wang et al. 2022)."""

    preset: str = "paper"
    data: str = ""  # the dataset folder
    seed: int = 0
    samples: SampleConfig = field(default_factory=SampleConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    stages: Stages = "both"
    batch: int = 112  # crops a step, over all ranks: as many clips for AVC; for AVSA a clip has samples.views of them
    epochs: int = 100  # of all stages together; an epoch takes samples.moments samples of each clip
    steps: int | None = None  # optimiser steps of all stages together, in place of epochs
    avc_share: float = 0.5  # of the epochs or steps; AVSA has the rest
    temperature: float = 0.07
    learn_temperature: bool = False  # from there on
    cache_chunk: int | None = None  # samples at a time whose graph is in memory: batches beyond it, of one rank
    negatives: Literal["all", "joint"] = "all"  # of AVSA; joint: crops of the same clip or of the same number
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"  # cosine: down to 0 at the end of each stage
    warmup: float = 0.0  # share of a stage's steps in which the learning rate rises from 0
    weight_decay: float = 1e-5
    precision: Precision = "fp32"
    compile: bool = True  # the encoders, by torch.compile, on a GPU
    batch_norm: Literal["local", "sync"] = "local"  # statistics of each rank's samples, or of all ranks'
    checkpoint_every: int = 200  # steps
    evaluate_every: int = 1000  # steps between the held-out figures that choose the best checkpoint
    held_out_samples: int = 256  # at most, for the held-out figures

    def __post_init__(self) -> None:
        """Raises UserError where a choice makes no sense."""
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
        """Whether the run needs sound with direction in it."""
        return self.stages == "both" or self.views.audio != "mono"

    def clips_a_step(self, stage: Stage) -> int:
        """Samples in a batch of a stage, over all ranks."""
        return self.batch if stage == "avc" else self.batch // self.samples.views

    def stage_steps(self, clips: int) -> dict[Stage, int]:
        """Optimiser steps of each stage, on a dataset of so many training clips."""
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
        """The learning rate after a share of a stage's steps."""
        if share < self.warmup:
            return self.learning_rate * share / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + cos(pi * (share - self.warmup) / (1 - self.warmup))) / 2


_PAPER = Config()
# The same method at sizes that two CPU cores train in minutes.
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
    """Writes a run's config.yaml."""
    values = asdict(config)
    values["model"]["video_blocks"] = list(config.model.video_blocks)  # YAML has no tuples
    with replacing(path) as part:
        part.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def load_config(path: Path, base: Config | None = None) -> Config:
    """Reads a config.yaml; what it leaves out is as in `base`, or the paper's.

    Raises UserError naming the file, and the key that is unknown or of the wrong type.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if base is not None:
            values = _merged(asdict(base), values)
        config = dacite.from_dict(Config, values, dacite.Config(strict=True, cast=[tuple]))
    except (OSError, UnicodeDecodeError, TypeError, yaml.YAMLError, dacite.DaciteError, UserError) as error:
        raise UserError(f"{path}: not a run's configuration: {error}") from error
    # The encoder's input follows from the sound's representation.
    return replace(config, model=replace(config.model, audio_channels=AUDIO_CHANNELS[config.views.audio]))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return base | {
        name: _merged(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
        for name, value in changes.items()
    }
