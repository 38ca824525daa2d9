"""A small dataset with one damaged clip, and a short run on it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avsa_fast.config import PRESETS, save_config
from avsa_fast.models import Model, ModelConfig
from avsa_fast.models.weights import save_weights
from avsa_fast.scenes.build import build_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten procedural scenes of two seconds; two are held out."""
    folder = tmp_path_factory.mktemp("dataset") / "scenes"
    build_scenes(folder, count=10, seconds=2.0, seed=5)
    return folder


@pytest.fixture(scope="session")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder as training leaves it; its weights are random."""
    folder = tmp_path_factory.mktemp("runs") / "a<b>&"
    (folder / "eval").mkdir(parents=True)
    tiny = PRESETS["tiny"]
    config = replace(
        tiny, data=str(scenes), views=replace(tiny.views, crop_size=16),
        model=ModelConfig(video_width=8, video_blocks=(1, 1, 1, 1), audio_width=4, transformer_ffn=16),
    )  # fmt: skip
    torch.manual_seed(0)
    save_config(config, folder / "config.yaml")
    save_weights(Model(config.model), folder / "weights.safetensors")
    (folder / "metrics.json").write_text(json.dumps({"avc_matching": {"value": 0.5, "chance": 1 / 16, "n": 96}}))
    metrics = {
        "angular_error": {"value": 12.5, "low": 9.0, "high": 17.0, "chance": 90.0, "n": 40},
        "accuracy_20_degrees": {"value": 0.1, "low": 0.0, "high": 0.3, "chance": 0.5, "n": 40},
    }
    (folder / "eval" / "localisation.json").write_text(json.dumps(metrics))
    lines = [{"step": i, "stage": "avc" if i < 5 else "avsa", "loss": 3 / i, "lr": 1e-3} for i in range(1, 11)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 11, "sta')
    return folder
