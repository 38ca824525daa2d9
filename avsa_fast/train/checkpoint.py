"""Checkpoints: written atomically, loaded without executing code from them.

A checkpoint is a folder step-NNNNNNN with weights.safetensors, average.safetensors if weights are averaged, state.pt
(optimiser and step, loaded with weights_only) and SHA256SUMS, which lets `sha256sum -c` and `load_newest` detect a
damaged one.
"""

import hashlib
import re
import shutil
from pathlib import Path

from torch import nn

from avsa_fast.bounds import shortened
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_folder
from avsa_fast.models.weights import load_weights, save_weights
from avsa_fast.writing import make_subfolder, writing

from .objective import Objective
from .state import State, load_state, save_state

KEPT = 2  # number of newest checkpoints to keep, besides the best one
FILES, AVERAGE = ("weights.safetensors", "state.pt"), "average.safetensors"
SUMS = "SHA256SUMS"
MAX_SUMS = 1000  # characters
NAME = re.compile("step-[0-9]{7,9}")
# Greatest size of state.pt: Adam keeps two numbers for each weight.
STATE_BYTES, STATE_RATIO = 1_000_000, 3


def save_checkpoint(folder: Path, model: nn.Module, state: State, average: nn.Module | None = None) -> None:
    """Writes a checkpoint atomically, then removes all but the newest and the best.

    Args:
        folder: Folder of the run's checkpoints; created if missing.
        model: Model whose weights are saved.
        state: Progress of the run; its step names the checkpoint.
        average: The moving average of the model, if there is one.

    Raises:
        WriteError: It cannot be written; the other checkpoints are then unchanged.
    """
    make_subfolder(folder.parent, folder.name)
    final = folder / _name(state.step)
    with atomic_folder(final) as part:
        save_weights(model, part / "weights.safetensors")
        if average is not None:
            save_weights(average, part / AVERAGE)
        save_state(state, part / "state.pt")
        sums = "".join(f"{_digest(part / name)}  {name}\n" for name in _files(average))
        (part / SUMS).write_text(sums, encoding="utf-8")
        for later in checkpoints(folder):  # damaged ones that were skipped when the run was resumed
            if later.name >= final.name:
                shutil.rmtree(later)
    with writing(folder):
        for old in checkpoints(folder)[:-KEPT]:
            if state.best is None or old.name != _name(state.best[0]):
                shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """Returns the folder's checkpoints, oldest first; what else is in it is left alone."""
    return sorted(path for path in folder.glob("step-*") if NAME.fullmatch(path.name) and _is_folder(path))


def load_checkpoint(path: Path, objective: Objective, average: nn.Module | None = None) -> State:
    """Loads a checkpoint's weights into the model.

    Args:
        path: Folder of the checkpoint.
        objective: Objective with a model of the same architecture as the saved one.
        average: The model that the saved moving average is loaded into, if there is one.

    Returns:
        The state saved with the weights, on the CPU.

    Raises:
        UserError: If a file is missing or damaged, or its checksum differs; the message names it.
    """
    weights = path / "weights.safetensors"
    try:
        files = _files(average)
        for name in (SUMS, *files):
            if not (path / name).is_file():
                raise UserError(f"{path / name}: damaged: missing, or not a regular file")
        with (path / SUMS).open(encoding="utf-8") as file:
            sums = file.read(MAX_SUMS)
        for name in files:
            if f"{_digest(path / name)}  {name}\n" not in sums:
                raise UserError(f"{path / name}: damaged: its checksum differs from {path / SUMS}")
        limit = STATE_BYTES + STATE_RATIO * weights.stat().st_size
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: damaged: {shortened(error)}") from error
    state = load_state(path / "state.pt", limit)
    try:
        if path.name != _name(state.step):
            raise UserError(f"step is {state.step}, unlike the name of the folder")
        decayed, others = objective.parameter_groups(state.stage)
        state.check_optimiser([parameter.shape for parameter in decayed + others])
    except UserError as error:
        raise UserError(f"{path / 'state.pt'}: damaged: {error}") from error
    load_weights(objective.model, weights)
    if average is not None:
        load_weights(average, path / AVERAGE)
    return state


def load_newest(folder: Path, objective: Objective, average: nn.Module | None = None) -> tuple[State | None, list[str]]:
    """Loads the newest intact checkpoint into the model.

    Args:
        folder: Folder of the run's checkpoints.
        objective: As for `load_checkpoint`.
        average: As for `load_checkpoint`.

    Returns:
        The checkpoint's state, or None if the folder has no checkpoints, and one message per newer, damaged checkpoint.

    Raises:
        UserError: If there are checkpoints and all are damaged.
    """
    damage: list[str] = []
    for path in reversed(checkpoints(folder)):
        try:
            return load_checkpoint(path, objective, average), damage
        except UserError as error:
            damage.append(str(error))
    if damage:
        raise UserError(f"{folder}: no checkpoint is intact; {damage[0]}")
    return None, []


def _files(average: nn.Module | None) -> tuple[str, ...]:
    """Names of the files in a checkpoint with checksums."""
    return FILES if average is None else (*FILES, AVERAGE)


def _name(step: int) -> str:
    """Name of the checkpoint of a step."""
    return f"step-{step:07d}"


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _digest(path: Path) -> str:
    """Returns a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
