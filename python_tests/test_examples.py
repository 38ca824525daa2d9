"""The examples run unchanged, and do what they claim."""

import json
import runpy
import sys
from math import radians
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from torchvision.io import read_image, write_png

from avsa_fast import ops
from avsa_fast.config import PRESETS, save_config
from avsa_fast.maps.grid import angular_distance
from avsa_fast.models import Model
from avsa_fast.models.weights import save_weights
from avsa_fast.scenes.build import build_scenes

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str, *arguments: object) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_crop(tmp_path: Path) -> None:
    """A red patch on the left, at elevation 0, is at the centre of a crop to the left."""
    panorama = torch.zeros(3, 200, 400, dtype=torch.uint8)
    panorama[0, 90:110, 90:110] = 255  # azimuth 90°
    write_png(panorama, str(tmp_path / "panorama.png"))
    example("crop", tmp_path / "panorama.png", 90, 0, tmp_path / "crop.jpg")
    crop = read_image(str(tmp_path / "crop.jpg"))
    assert crop.shape == (3, 480, 640)
    assert crop[0, 240, 320] > 200
    assert crop[0, 20, 20] < 50


def test_beam(tmp_path: Path) -> None:
    """A beam passes a source in its direction unchanged; the opposite beam gives half of it, inverted."""
    noise = 0.1 * torch.randn(1, 24000, generator=torch.Generator().manual_seed(0))
    scene = ops.encode(noise, torch.tensor([[radians(-70), radians(20)]]))
    soundfile.write(tmp_path / "foa.flac", scene.T.numpy(), 24000)
    for azimuth, elevation, gain in ((-70, 20, 1.0), (110, -20, -0.5)):
        example("beam", tmp_path / "foa.flac", azimuth, elevation, tmp_path / "beam.wav")
        beam, rate = soundfile.read(tmp_path / "beam.wav")
        assert rate == 24000
        np.testing.assert_allclose(beam, gain * noise[0].numpy(), atol=2e-4)


def test_loss() -> None:
    loss = example("loss")["loss"]
    assert isinstance(loss, torch.Tensor)
    assert loss.item() < 1.0  # initially log(256) = 5.5


def test_heat_map(tmp_path: Path) -> None:
    build_scenes(tmp_path / "scenes", count=1, seconds=2.0, seed=3)
    (tmp_path / "run").mkdir()
    save_config(PRESETS["tiny"], tmp_path / "run" / "config.yaml")
    save_weights(Model(PRESETS["tiny"].model), tmp_path / "run" / "weights.safetensors")
    names = example("heat_map", tmp_path / "run", tmp_path / "scenes", "scene0000-0", 1.0, tmp_path / "heat.jpg")
    heat = names["heat"]
    assert isinstance(heat, torch.Tensor)
    assert heat.shape == (18, 36)
    assert read_image(str(tmp_path / "heat.jpg")).shape == (3, 512, 1024)


def test_tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook's cells run in order; the loudest direction is that of an object, and its beam the loudest."""
    monkeypatch.chdir(tmp_path)
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    assert len(cells) == 10
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), "tour.ipynb", "exec"), names)
    truth = pq.read_table(tmp_path / "tour" / "truth.parquet").to_pylist()
    objects = torch.tensor([[row["azimuth"], row["elevation"]] for row in truth if row["time"] == 1.5])
    assert len(objects) == 4
    assert angular_distance(torch.tensor(names["loudest"]), objects).min() < 15
    assert names["levels"].argmax() == 4
