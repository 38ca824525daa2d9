"""Checkpoints: written whole or not at all, read without running code from them.

A checkpoint is a folder step-NNNNNNN with weights.safetensors, state.pt (optimiser and step, loaded with weights_only)
and SHA256SUMS, by which `sha256sum -c` and `resume_newest` tell a damaged one.
"""

import hashlib
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
from avsa_fast.files import replacing, sync

KEPT = 2  # the newest checkpoints, besides the best one; older ones are removed
FILES = ("weights.safetensors", "state.pt")
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class State:
    """Where a run is: steps done, and what the next one needs besides the weights.

    Random numbers are not in it: each step draws them from the seed and its own number.
    """

    step: int
    stage: str
    optimiser: dict[str, Any]
    log_temperature: float
    best: tuple[int, float] | None = None  # the stage's step of the best held-out figure, and that figure


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes the model's weights as safetensors, by a rename."""
    with replacing(path) as part:
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, part)


def load_weights(model: nn.Module, path: Path) -> None:
    """Fills the model with weights of the same names and shapes. Raises UserError naming a file that does not fit."""
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: not the weights of this model: {str(error).splitlines()[0]}") from error


def save_checkpoint(folder: Path, model: nn.Module, state: State) -> None:
    """Adds a checkpoint to the folder and removes all but the newest and the best."""
    folder.mkdir(exist_ok=True)
    for remains in folder.glob(".step-*.part"):  # of a process that was killed
        shutil.rmtree(remains)
    part = folder / f".step-{state.step:07d}.part"
    part.mkdir()
    save_weights(model, part / "weights.safetensors")
    with replacing(part / "state.pt") as file:
        torch.save(vars(state), file)
    with replacing(part / SUMS) as file:
        file.write_text("".join(f"{_digest(part / name)}  {name}\n" for name in FILES), encoding="utf-8")
    final = folder / part.stem.removeprefix(".")
    for later in checkpoints(folder):  # damaged, if it was passed over when the run went on
        if later.name >= final.name:
            shutil.rmtree(later)
    os.replace(part, final)
    sync(folder)
    for old in checkpoints(folder)[:-KEPT]:
        if state.best is None or old.name != f"step-{state.best[0]:07d}":
            shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """The folder's checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def load_checkpoint(path: Path, model: nn.Module) -> State:
    """Fills the model from a checkpoint. Raises UserError naming the file that is damaged."""
    try:
        sums = (path / SUMS).read_text(encoding="utf-8")
        for name in FILES:
            if f"{_digest(path / name)}  {name}\n" not in sums:
                raise UserError(f"{path / name}: damaged: its checksum is not that of {path / SUMS}")
        state = State(**torch.load(path / "state.pt", map_location="cpu", weights_only=True))
    except UserError:
        raise
    except Exception as error:  # torch.load raises whatever a file that is no checkpoint makes of it
        raise UserError(f"{path}: damaged: {str(error).splitlines()[0]}") from error
    load_weights(model, path / "weights.safetensors")
    return state


def load_newest(folder: Path, model: nn.Module) -> tuple[State | None, list[str]]:
    """Fills the model from the newest checkpoint that is whole; None where the folder has none at all.

    Also returns what is wrong with newer ones. Raises UserError where all are damaged.
    """
    damage: list[str] = []
    for path in reversed(checkpoints(folder)):
        try:
            return load_checkpoint(path, model), damage
        except UserError as error:
            damage.append(str(error))
    if damage:
        raise UserError(f"{folder}: no checkpoint is whole; {damage[0]}")
    return None, []


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
