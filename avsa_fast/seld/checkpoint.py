"""Checkpoints of a detector's training, as safetensors, which hold no code: weights, Adam's averages, and the step."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from avsa_fast.bounds import shortened
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_write

CHECKPOINT = "checkpoint.safetensors"
AVERAGES = ("exp_avg", "exp_avg_sq")
MAX_STEP = 10**9


def save_checkpoint(path: Path, model: nn.Module, adam: torch.optim.Adam, step: int) -> None:
    """Writes a checkpoint, replacing the one before atomically.

    Args:
        path: File to write.
        model: The network.
        adam: Its optimiser, after at least one step.
        step: Steps done.

    Raises:
        WriteError: It cannot be written.
    """
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for number, kept in adam.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": kept[name].contiguous() for name in AVERAGES}
    with atomic_write(path) as part:
        part.write_bytes(save(tensors, {"step": str(step)}))


def load_checkpoint(path: Path, model: nn.Module, adam: torch.optim.Adam) -> int:
    """Restores a network and its optimiser.

    Args:
        path: File that `save_checkpoint` wrote.
        model: Network of the same architecture.
        adam: Its optimiser, before its first step.

    Returns:
        Steps done.

    Raises:
        UserError: The file is damaged, or of another network.
    """
    try:
        with safe_open(path, "pt") as file:
            step = int((file.metadata() or {})["step"])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not 0 < step <= MAX_STEP:
            raise ValueError(f"step {step}")
        model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
        parameters = [parameter for group in adam.param_groups for parameter in group["params"]]
        state = {}
        for number, parameter in enumerate(parameters):
            averages = {name: tensors[f"adam.{number}.{name}"] for name in AVERAGES}
            if any(value.shape != parameter.shape for value in averages.values()):
                raise ValueError("averages of other shapes")
            state[number] = {"step": torch.tensor(float(step)), **averages}
        adam.load_state_dict(adam.state_dict() | {"state": state})
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: damaged, or of another detector: {shortened(error)}; remove it to start anew"
        ) from error
    return step
