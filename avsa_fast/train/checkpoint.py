"""Checkpoints: written whole or not at all, read without running code from them.

A checkpoint is a folder step-NNNNNNN with weights.safetensors and state.pt (optimiser, random state, step), which is
loaded with weights_only.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from avsa_fast.errors import UserError

KEPT = 2  # the newest checkpoints; older ones are removed


@dataclass(frozen=True)
class State:
    """Where a run is: steps done, and what the next one needs besides the weights."""

    step: int
    stage: str
    optimiser: dict[str, Any]
    random: torch.Tensor


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes the model's weights as safetensors, by a rename."""
    part = path.with_name(f".{path.name}.part")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, part)
    os.replace(part, path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Fills the model with weights of the same names and shapes. Raises UserError naming a file that does not fit."""
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: not the weights of this model: {str(error).splitlines()[0]}") from error


def save_checkpoint(folder: Path, model: nn.Module, state: State) -> None:
    """Adds a checkpoint to the folder and removes all but the newest."""
    folder.mkdir(exist_ok=True)
    part = folder / f".step-{state.step:07d}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_weights(model, part / "weights.safetensors")
    torch.save(vars(state), part / "state.pt")
    final = folder / f"step-{state.step:07d}"
    shutil.rmtree(final, ignore_errors=True)
    os.replace(part, final)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """The folder's checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def load_checkpoint(path: Path, model: nn.Module) -> State:
    """Fills the model from a checkpoint. Raises UserError naming the file that is damaged."""
    load_weights(model, path / "weights.safetensors")
    try:
        return State(**torch.load(path / "state.pt", map_location="cpu", weights_only=True))
    except Exception as error:  # torch.load raises whatever a damaged zip file makes of it
        raise UserError(f"{path / 'state.pt'}: damaged: {str(error).splitlines()[0]}") from error
