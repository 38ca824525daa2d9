"""Exported encoders match the run's encoders in every runtime, and the hub's folder restores the network."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import commands

from avsa_fast.errors import UserError
from avsa_fast.export import Pretrained, encoders
from avsa_fast.export.cli import main
from avsa_fast.run import Run


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "out"
    main(run.folder, folder)
    return folder


@pytest.mark.slow
def test_all_files_are_written(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        "README.md", "audio_encoder.onnx", "audio_encoder.pt2", "config.json", "model.safetensors",
        "video_encoder.onnx", "video_encoder.pt2",
    ]  # fmt: skip
    card = (exported / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "[N, 3, F, 16, 16] -> [N, 64]" in card
    assert "[N, 7, 64, frames] -> [N, 64]" in card


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_programs_match_encoders(run: Run, exported: Path, batch: int) -> None:
    import onnxruntime

    for name, shape in (("video_encoder", (3, 8, 16, 16)), ("audio_encoder", (7, 64, 98))):
        inputs = torch.randn(batch, *shape)
        with torch.inference_mode():
            expected = getattr(run.model, name)(inputs)
        program = torch.export.load(exported / f"{name}.pt2").module()
        torch.testing.assert_close(program(inputs), expected, atol=1e-4, rtol=1e-4)
        session = onnxruntime.InferenceSession(exported / f"{name}.onnx", providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"views": inputs.numpy()})
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_hub_folder_restores_network(run: Run, exported: Path) -> None:
    model = Pretrained.from_pretrained(str(exported)).eval()
    config = json.loads((exported / "config.json").read_text())
    assert config["model"]["video_width"] == 8
    assert model.views == run.config.views
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], value)
    crops, features = torch.randn(2, 4, 3, 8, 16, 16), torch.randn(2, 4, 7, 64, 98)
    with torch.inference_mode():
        torch.testing.assert_close(model(crops, features).video, run.model(crops, features).video)


def test_deviating_export_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_load_onnx", lambda path: lambda inputs: torch.zeros(len(inputs), 64))
    with pytest.raises(RuntimeError, match=r"audio_encoder\.onnx differs from the encoder by"):
        encoders.export_encoder("audio_encoder", run.model.audio_encoder, torch.zeros(1, 7, 64, 98), tmp_path)
    assert not list(tmp_path.iterdir())


def test_non_empty_folder_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        main(run.folder, tmp_path)


def test_missing_extra_is_reported(tmp_path: Path) -> None:
    missing = "import runpy, sys; sys.modules['huggingface_hub'] = None"
    command = [sys.executable, "-c", f"{missing}; runpy.run_module('avsa_fast.export', None, '__main__')"]
    shown = commands.run(*command, "--help", check=True)
    assert "pip install 'avsa_fast" in shown.stdout
    refused = commands.run(*command, tmp_path, tmp_path / "out")
    assert refused.returncode == 2
    assert refused.stderr.startswith("export: ")
    assert "pip install 'avsa_fast[export]'" in refused.stderr
    assert refused.stderr.count("\n") == 1
