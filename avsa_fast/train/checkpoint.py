"""Checkpoints: written atomically, loaded without executing code from them.

A checkpoint is a folder step-NNNNNNN with weights.safetensors, state.pt (optimiser and step, loaded with weights_only)
and SHA256SUMS, which lets `sha256sum -c` and `load_newest` detect a damaged one.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avsa_fast.errors import UserError
from avsa_fast.files import atomic_folder
from avsa_fast.models.weights import load_weights, save_weights
from avsa_fast.writing import library_file, make_subfolder, writing

KEPT = 2  # number of newest checkpoints to keep, besides the best one
FILES = ("weights.safetensors", "state.pt")
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class State:
    """Progress of a run, and what the next step needs besides the weights.

    It holds no random number state: each step is seeded from the run's seed and the step number.

    Attributes:
        step: Steps done, over both stages.
        stage: Stage of the last step.
        optimiser: The optimiser's state_dict.
        log_temperature: Natural logarithm of the loss's temperature.
        best: Step with the stage's best held-out accuracy, and that accuracy; None before the first evaluation.
    """

    step: int
    stage: str
    optimiser: dict[str, Any]
    log_temperature: float
    best: tuple[int, float] | None = None


def save_checkpoint(folder: Path, model: nn.Module, state: State) -> None:
    """Writes a checkpoint atomically, then removes all but the newest and the best.

    Args:
        folder: Folder of the run's checkpoints; created if missing.
        model: Model whose weights are saved.
        state: Progress of the run; its step names the checkpoint.

    Raises:
        WriteError: It cannot be written; the other checkpoints are then unchanged.
    """
    make_subfolder(folder.parent, folder.name)
    final = folder / f"step-{state.step:07d}"
    with atomic_folder(final) as part:
        save_weights(model, part / "weights.safetensors")
        with library_file(part / "state.pt") as file:
            torch.save(vars(state), file)
        sums = "".join(f"{_digest(part / name)}  {name}\n" for name in FILES)
        (part / SUMS).write_text(sums, encoding="utf-8")
        for later in checkpoints(folder):  # damaged ones that were skipped when the run was resumed
            if later.name >= final.name:
                shutil.rmtree(later)
    with writing(folder):
        for old in checkpoints(folder)[:-KEPT]:
            if state.best is None or old.name != f"step-{state.best[0]:07d}":
                shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """Returns the paths of the folder's checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def load_checkpoint(path: Path, model: nn.Module) -> State:
    """Loads a checkpoint's weights into the model.

    Args:
        path: Folder of the checkpoint.
        model: Model of the same architecture as the saved one.

    Returns:
        The state saved with the weights, on the CPU.

    Raises:
        UserError: If a file is missing or damaged, or its checksum differs; the message names it.
    """
    try:
        sums = (path / SUMS).read_text(encoding="utf-8")
        for name in FILES:
            if f"{_digest(path / name)}  {name}\n" not in sums:
                raise UserError(f"{path / name}: damaged: its checksum differs from {path / SUMS}")
        state = State(**torch.load(path / "state.pt", map_location="cpu", weights_only=True))
    except UserError:
        raise
    except Exception as error:  # torch.load raises many types on a malformed file
        raise UserError(f"{path}: damaged: {str(error).splitlines()[0]}") from error
    load_weights(model, path / "weights.safetensors")
    return state


def load_newest(folder: Path, model: nn.Module) -> tuple[State | None, list[str]]:
    """Loads the newest intact checkpoint into the model.

    Args:
        folder: Folder of the run's checkpoints.
        model: Model of the same architecture as the saved one.

    Returns:
        The checkpoint's state, or None if the folder has no checkpoints, and one message per newer, damaged checkpoint.

    Raises:
        UserError: If there are checkpoints and all are damaged.
    """
    damage: list[str] = []
    for path in reversed(checkpoints(folder)):
        try:
            return load_checkpoint(path, model), damage
        except UserError as error:
            damage.append(str(error))
    if damage:
        raise UserError(f"{folder}: no checkpoint is intact; {damage[0]}")
    return None, []


def _digest(path: Path) -> str:
    """Returns a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
