"""Loading of trained networks by where they are: a run's folder, an exported folder, or a repository of the hub."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dacite
import torch
from torch import nn

from avsa_fast.bounds import shortened
from avsa_fast.config import Config, Stages
from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.views import AUDIO_CHANNELS, ViewConfig
from avsa_fast.errors import UserError
from avsa_fast.models import Model, ModelConfig
from avsa_fast.models.weights import load_weights
from avsa_fast.run import Run, load_run, run_from_model

WEIGHTS = "model.safetensors"  # in an exported folder
MAX_BYTES = 100_000  # of config.json
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Exported:
    """Content of an exported folder's config.json, the arguments of `Pretrained`.

    Attributes:
        model: Sizes of the network.
        views: How crops and features are computed.
        stages: Training stages of the run.
        samples: Frames and sound that a sample consists of.
    """

    model: ModelConfig
    views: ViewConfig = field(default_factory=ViewConfig)
    stages: Stages = "both"
    samples: SampleConfig = field(default_factory=SampleConfig)


def load_network(source: str | Path, device: torch.device | None = None) -> Run:
    """Loads a trained network for inference. Nothing is downloaded.

    Args:
        source: Folder of a run; folder written by `python -m avsa_fast.export`; or the id, user/repository, of such a
            folder in the local cache of the Hugging Face hub, which needs huggingface_hub.
        device: Device of the network. Default: the GPU if there is one, else the CPU.

    Returns:
        The run; of an exported one, only what inference needs is configured.

    Raises:
        UserError: There is no such folder or id, the training is not finished, or a file is damaged.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _cached(str(source))
    is_exported = (folder / "config.json").is_file() and not (folder / "config.yaml").is_file()
    return _load_exported(folder, device) if is_exported else load_run(folder, device)


def weights_file(run: Run) -> Path:
    """Returns the file that the weights of a loaded network were read from.

    Args:
        run: What `load_network` returned.
    """
    own = run.folder / "weights.safetensors"
    return own if own.is_file() else run.folder / WEIGHTS


def _load_exported(folder: Path, device: torch.device | None) -> Run:
    """Loads the network of an exported folder."""
    exported = _read(folder / "config.json")
    sizes = replace(exported.model, audio_channels=AUDIO_CHANNELS[exported.views.audio])
    model = Model(sizes)
    load_weights(nn.ModuleDict({"network": model}), folder / WEIGHTS)
    config = Config(model=sizes, views=exported.views, stages=exported.stages, samples=exported.samples)
    return run_from_model(folder, config, model, device)


def _read(path: Path) -> Exported:
    """Reads a config.json of bounded size. Raises UserError if it is not one of an exported run."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES // 1000} kB")
        values: Any = json.loads(data)
        if not isinstance(values, dict):
            raise ValueError(f"it holds a {type(values).__name__}")
        return dacite.from_dict(Exported, values, dacite.Config(strict=True, cast=[tuple]))
    except (OSError, TypeError, ValueError, OverflowError, RecursionError, dacite.DaciteError, UserError) as error:
        raise UserError(f"{path}: not the configuration of an exported run: {shortened(error)}") from error


def _cached(name: str) -> Path:
    """Folder of a hub repository in the local cache. Raises UserError if it is not there."""
    if not HUB_ID.fullmatch(name):
        raise UserError(f"{name}: no such folder; expected one of a run, or one that avsa_fast.export wrote")
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError as error:
        raise UserError(
            f"{name}: no such folder; as an id of the Hugging Face hub it needs huggingface_hub ({error}): "
            "pip install 'avsa_fast[export]'"
        ) from error
    try:
        found = [try_to_load_from_cache(name, file) for file in ("config.json", WEIGHTS)]
    except ValueError as error:  # of huggingface_hub, for names that no repository can have
        raise UserError(f"{name}: no such folder, and no id of the Hugging Face hub: {shortened(error)}") from error
    if not all(isinstance(file, str) for file in found):
        raise UserError(f"{name}: no such folder, nor in the hub's cache, where `hf download {name}` puts it")
    return Path(str(found[0])).parent
