"""The state of a run that a checkpoint keeps beside the weights, and its file, which is checked before it is used."""

import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from avsa_fast.bounds import shortened
from avsa_fast.config import STAGES
from avsa_fast.errors import UserError
from avsa_fast.writing import library_file

MAX_STEP = 10**9
MAX_LOG_TEMPERATURE = 20.0


@dataclass(frozen=True)
class State:
    """Progress of a run, and what the next step needs besides the weights.

    It holds no random number state: each step is seeded from the run's seed and the step number.

    Attributes:
        step: Steps done, over both stages.
        stage: Stage of the last step.
        config: The run's configuration, as nested dictionaries.
        optimiser: For each parameter that the stage trains, by its number, the tensors that Adam keeps.
        log_temperature: Natural logarithm of the loss's temperature.
        best: Step with the stage's best held-out accuracy, and that accuracy; None before the first evaluation.
    """

    step: int
    stage: str
    config: dict[str, Any]
    optimiser: dict[int, dict[str, Any]]
    log_temperature: float
    best: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        best = self.best
        for name, valid in (
            ("step", _is_integer(self.step, MAX_STEP)),
            ("stage", self.stage in STAGES),
            ("config", isinstance(self.config, dict)),
            ("optimiser", isinstance(self.optimiser, dict)),
            ("log_temperature", _is_number(self.log_temperature, MAX_LOG_TEMPERATURE)),
            (
                "best",
                best is None
                or (
                    isinstance(best, tuple)
                    and len(best) == 2
                    and _is_integer(best[0], MAX_STEP)
                    and _is_number(best[1], 1)
                ),
            ),
        ):
            if not valid:
                raise UserError(f"{name} is {shortened(repr(getattr(self, name)), 80)}, which is not possible")

    def check_optimiser(self, shapes: Sequence[torch.Size]) -> None:
        """Checks that the optimiser's tensors belong to the parameters of the stage.

        Args:
            shapes: Shapes of these parameters, in order.

        Raises:
            UserError: A tensor is missing or has another shape or type.
        """
        for number, kept in self.optimiser.items():
            if not (
                _is_integer(number, len(shapes) - 1)
                and isinstance(kept, dict)
                and _shapes(kept) == {"step": torch.Size(), "exp_avg": shapes[number], "exp_avg_sq": shapes[number]}
            ):
                raise UserError("optimiser has other tensors than this network needs")


def save_state(state: State, path: Path) -> None:
    """Writes a state.

    Args:
        state: The state.
        path: File to write.
    """
    with library_file(path) as file:
        torch.save(vars(state), file)


def load_state(path: Path, max_bytes: int) -> State:
    """Reads a state without executing code from its file.

    Args:
        path: File that `save_state` wrote.
        max_bytes: Size that the file has at most.

    Returns:
        The state, on the CPU.

    Raises:
        UserError: The file is damaged, too large or holds compressed data or values that are not possible.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if size > max_bytes or sum(entry.file_size for entry in entries) > size:
            raise UserError(f"larger than {max_bytes} bytes, or its parts larger than the file")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise UserError("its parts are compressed")
        values = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(values, dict) or values.keys() != {field.name for field in fields(State)}:
            raise UserError("it holds something else")
        return State(**values)
    except UserError as error:
        raise UserError(f"{path}: damaged: {error}") from error
    except pickle.UnpicklingError as error:  # torch's message is a page of advice on trusting the file
        raise UserError(f"{path}: damaged: it holds something else") from error
    except Exception as error:  # torch.load raises many types on a malformed file
        raise UserError(f"{path}: damaged: {shortened(error) or type(error).__name__}") from error


def _is_integer(value: Any, greatest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= greatest


def _is_number(value: Any, greatest: float) -> bool:
    return isinstance(value, float) and isfinite(value) and abs(value) <= greatest


def _shapes(kept: dict[str, Any]) -> dict[str, torch.Size]:
    """Shapes of tensors of dtype float32."""
    return {name: x.shape for name, x in kept.items() if isinstance(x, torch.Tensor) and x.dtype == torch.float32}
