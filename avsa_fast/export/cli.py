"""Command python -m avsa_fast.export RUN OUT: exports the encoders of a run."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from tyro.conf import Positional, arg

from avsa_fast.data.batches import batch_of
from avsa_fast.data.samples import SAMPLE_RATE, Sample
from avsa_fast.data.views import make_features
from avsa_fast.errors import UserError
from avsa_fast.run import Run, load_run


def main(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="Folder of a run that train made.")],
    out: Annotated[Positional[Path], arg(metavar="OUT", help="Folder to write; new, or empty.")],
) -> None:
    """Writes each encoder as torch.export program and ONNX file, and the network as a folder for the Hugging Face hub.

    OUT gets video_encoder.pt2 and .onnx, audio_encoder.pt2 and .onnx, model.safetensors, config.json and README.md.
    Every file is checked against the run's network. Needs the extra `export`: pip install 'avsa_fast[export]'.
    """
    try:
        from .encoders import export_encoder
        from .pretrained import Pretrained
    except ImportError as error:
        raise UserError(f"{error}; pip install 'avsa_fast[export]' brings what export needs") from error
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not an empty folder")
    trained = load_run(run, torch.device("cpu"))
    config, model = trained.config, trained.model
    out.mkdir(parents=True, exist_ok=True)
    pretrained = Pretrained(config.model, config.views, config.stages)
    pretrained.network.load_state_dict(model.state_dict())
    pretrained.save_pretrained(out)
    deviations = export_encoder("video_encoder", model.video_encoder, _crop(trained), out)
    deviations |= export_encoder("audio_encoder", model.audio_encoder, _features(trained), out)
    for name, deviation in deviations.items():
        print(f"{name}: differs by at most {deviation:.1e} of the largest value")
    print(f"exported: {out}")


def _crop(run: Run) -> torch.Tensor:
    """Example input of the video encoder: zeros [1, 3, F, h, w]."""
    size = run.config.views.crop_size
    return torch.zeros(1, 3, run.config.samples.frames, size, size)


def _features(run: Run) -> torch.Tensor:
    """Example input of the audio encoder, features of silence: [1, channels, n_mels, n_frames]."""
    samples = round(run.config.samples.seconds * SAMPLE_RATE)
    front, fov, none = np.zeros((1, 2), np.float32), np.ones(1, np.float32), np.zeros(1, bool)
    sample = Sample("", "erp", torch.empty(0), torch.zeros(4, samples), front, fov, none, None, {})
    return make_features(batch_of([sample]), run.config.views, torch.device("cpu"))[0]
