"""A small dataset and a small network, so that whole runs take seconds."""

from dataclasses import replace
from pathlib import Path

import pytest

from avsa_fast.config import PRESETS, Config
from avsa_fast.models import ModelConfig
from avsa_fast.scenes.build import build_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten procedural scenes of three seconds."""
    folder = tmp_path_factory.mktemp("dataset") / "scenes"
    build_scenes(folder, count=10, seconds=3.0, seed=5)
    return folder


@pytest.fixture
def small(scenes: Path) -> Config:
    """A configuration whose steps take a fraction of a second."""
    tiny = PRESETS["tiny"]
    return replace(
        tiny,
        data=str(scenes),
        views=replace(tiny.views, crop_size=16),
        model=ModelConfig(video_width=8, video_blocks=(1, 1, 1, 1), audio_width=4, transformer_ffn=16),
        batch=8,
        steps=6,
        checkpoint_every=2,
        held_out_samples=8,
    )
