"""Every choice of a training run, its presets, and how it is kept in the run's folder."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import dacite
import yaml

from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.views import ViewConfig
from avsa_fast.errors import UserError
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
    batch: int = 112  # crops a step: as many clips for AVC, a quarter as many with 4 crops each for AVSA
    epochs: int = 100  # of all stages together; an epoch takes one sample of each clip
    steps: int | None = None  # optimiser steps of all stages together, in place of epochs
    avc_share: float = 0.5  # of the epochs or steps; AVSA has the rest
    temperature: float = 0.07
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    precision: Precision = "fp32"
    checkpoint_every: int = 200  # steps
    held_out_samples: int = 256  # at most, for the final figures

    @property
    def spatial(self) -> bool:
        """Whether the run needs sound with direction in it."""
        return self.stages == "both" or self.views.audio != "mono"

    def clips_a_step(self, stage: Stage) -> int:
        """Clips in a batch of a stage."""
        return self.batch if stage == "avc" else self.batch // 4

    def stage_steps(self, clips: int) -> dict[Stage, int]:
        """Optimiser steps of each stage, on a dataset of so many training clips."""
        share = self.avc_share if self.stages == "both" else 1.0
        if self.steps is not None:
            avc = round(self.steps * share)
            return {"avc": avc, "avsa": self.steps - avc}
        epochs = round(self.epochs * share)
        return {
            "avc": epochs * max(1, clips // self.clips_a_step("avc")),
            "avsa": (self.epochs - epochs) * max(1, clips // self.clips_a_step("avsa")),
        }


PRESETS = {
    "paper": Config(),
    # The same method at sizes that two CPU cores train in minutes.
    "tiny": Config(
        preset="tiny",
        samples=SampleConfig(max_height=192),
        views=ViewConfig(crop_size=40, n_mels=64),
        model=ModelConfig(video_width=16, video_blocks=(1, 1, 1, 1), audio_width=16, transformer_ffn=512),
        batch=32,
        steps=240,
        avc_share=0.45,
        learning_rate=1e-3,
        held_out_samples=96,
    ),
}


def save_config(config: Config, path: Path) -> None:
    """Writes a run's config.yaml."""
    values = asdict(config)
    values["model"]["video_blocks"] = list(config.model.video_blocks)  # YAML has no tuples
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def load_config(path: Path) -> Config:
    """Reads a run's config.yaml. Raises UserError naming the file, and the key that is unknown or of the wrong type."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return dacite.from_dict(Config, values, dacite.Config(strict=True, cast=[tuple]))
    except (OSError, UnicodeDecodeError, TypeError, yaml.YAMLError, dacite.DaciteError) as error:
        raise UserError(f"{path}: not a run's configuration: {error}") from error
