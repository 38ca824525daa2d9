"""The folder that `python -m avsa_fast.export` writes."""

from pathlib import Path

import numpy as np
import torch

from avsa_fast.data.batches import batch_of
from avsa_fast.data.samples import Sample
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.data.views import make_features
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_folder
from avsa_fast.locks import owner_file, owner_lock
from avsa_fast.run import Run, load_run
from avsa_fast.terminal import say
from avsa_fast.writing import writing

from .encoders import export_encoder
from .pretrained import Pretrained


def export_run(run: Path, out: Path) -> None:
    """Exports a run's encoders and network; every file is checked against the network.

    Args:
        run: Folder of a training run.
        out: Folder to write; new or empty.

    Raises:
        UserError: If the run cannot be read, or `out` is not empty or cannot be written.
    """
    out, loaded = out.resolve(), load_run(run, torch.device("cpu"))
    config, model = loaded.config, loaded.model
    with owner_lock(owner_file(out), out):
        with writing(out):
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise UserError(f"{out}: exists and is not an empty folder")
        with atomic_folder(out) as folder:
            pretrained = Pretrained(config.model, config.views, config.stages, config.samples)
            pretrained.network.load_state_dict(model.state_dict())
            pretrained.save_pretrained(folder)
            deviations = export_encoder("video_encoder", model.video_encoder, _example_crop(loaded), folder)
            deviations |= export_encoder("audio_encoder", model.audio_encoder, _example_features(loaded), folder)
    for name, deviation in deviations.items():
        say(f"{name}: differs by at most {deviation:.1e} of the largest value")
    say(f"exported: {out}")


def _example_crop(run: Run) -> torch.Tensor:
    """Example input of the video encoder: zeros [1, 3, F, h, w]."""
    size = run.config.views.crop_size
    return torch.zeros(1, 3, run.config.samples.frames, size, size)


def _example_features(run: Run) -> torch.Tensor:
    """Example input of the audio encoder, features of silence: [1, channels, n_mels, n_frames]."""
    samples = round(run.config.samples.seconds * SAMPLE_RATE)
    front, fov, flip = np.zeros((1, 2), np.float32), np.ones(1, np.float32), np.zeros(1, bool)
    sample = Sample("", "erp", torch.empty(0), torch.zeros(4, samples), front, fov, flip, None, {})
    return make_features(batch_of([sample]), run.config.views, torch.device("cpu"))[0]
