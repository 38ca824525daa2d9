"""Fixtures: a tiny dataset and an untrained run on it, shared by all tests that compute embeddings."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avsa_fast.config import PRESETS, Config, save_config
from avsa_fast.models import Model, ModelConfig
from avsa_fast.models.weights import save_weights
from avsa_fast.run import Run, run_from_model
from avsa_fast.scenes.build import build_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten procedural scenes of two seconds, two of them held out."""
    folder = tmp_path_factory.mktemp("dataset") / "scenes"
    build_scenes(folder, count=10, seconds=2.0, seed=5)
    return folder


@pytest.fixture(scope="session")
def config(scenes: Path) -> Config:
    tiny = PRESETS["tiny"]
    return replace(
        tiny,
        data=str(scenes),
        views=replace(tiny.views, crop_size=16),
        model=ModelConfig(video_width=8, video_blocks=(1, 1, 1, 1), audio_width=8, transformer_ffn=16),
        batch=8,
        steps=4,
    )


@pytest.fixture(scope="session")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An untrained run with random weights."""
    folder = tmp_path_factory.mktemp("runs") / "untrained"
    folder.mkdir()
    torch.manual_seed(0)
    model = Model(config.model)
    save_config(config, folder / "config.yaml")
    save_weights(model, folder / "weights.safetensors")
    return run_from_model(folder, config, model, torch.device("cpu"))
