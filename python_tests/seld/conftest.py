"""Fixtures for tests of detectors: an untrained run, and a small tree of annotated recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.described import described_in_this_process

from avsa_fast.config import PRESETS, save_config
from avsa_fast.data.sound_events import SoundEvent, write_events
from avsa_fast.models import Model, ModelConfig
from avsa_fast.models.weights import save_weights
from avsa_fast.run import Run, run_from_model
from avsa_fast.scenes.sound import RATE, encode

__all__ = ["described_in_this_process"]

SECONDS = 4
RECORDINGS = ("dev-train-a/one", "dev-train-a/two", "dev-test-a/three")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with random weights and narrow encoders."""
    folder = tmp_path_factory.mktemp("runs") / "untrained"
    folder.mkdir()
    model = ModelConfig(video_width=8, video_blocks=(1, 1, 1, 1), audio_width=4, transformer_ffn=16)
    config = replace(PRESETS["tiny"], data=str(folder), views=replace(PRESETS["tiny"].views, n_mels=32), model=model)
    torch.manual_seed(0)
    network = Model(model)
    save_config(config, folder / "config.yaml")
    save_weights(network, folder / "weights.safetensors")
    return run_from_model(folder, config, network, torch.device("cpu"))


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of a tone each, of classes 0, 1 and 0, which sounds from 1 to 3 s; the last is held out."""
    folder = tmp_path_factory.mktemp("tree")
    for number, name in enumerate(RECORDINGS):
        sound, metadata = folder / "foa_dev" / f"{name}.wav", folder / "metadata_dev" / f"{name}.csv"
        for path in (sound, metadata):
            path.parent.mkdir(parents=True, exist_ok=True)
        azimuth, time = 40.0 * number - 60, np.arange(SECONDS * RATE) / RATE
        tone = 0.1 * np.sin(2 * np.pi * 400 * (number + 1) * time) * ((time >= 1) & (time < 3))
        directions = np.broadcast_to(np.radians([azimuth, 10.0]), (len(time), 2))
        noise = np.random.default_rng(number).normal(0, 1e-3, (4, len(time)))
        soundfile.write(sound, (encode(tone.astype(np.float32), directions) + noise).T, RATE, "PCM_16")
        write_events(metadata, [SoundEvent(frame, number % 2, 0, azimuth, 10.0, 200.0) for frame in range(10, 30)])
    return folder
