"""Weights of a network on disk, as safetensors, which hold no code."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from avsa_fast.errors import UserError
from avsa_fast.files import atomic_write


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes the model's weights as safetensors, replacing the file atomically.

    Args:
        model: Model whose parameters and buffers are saved.
        path: File to write.

    Raises:
        WriteError: It cannot be written.
    """
    with atomic_write(path) as part:
        part.write_bytes(save({name: value.contiguous() for name, value in model.state_dict().items()}))


def load_weights(model: nn.Module, path: Path) -> None:
    """Loads weights into the model.

    Args:
        model: Model whose parameters and buffers have the names and shapes in the file.
        path: A safetensors file.

    Raises:
        UserError: If the file cannot be read or does not fit the model; the message names the file.
    """
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: not the weights of this model: {str(error).splitlines()[0]}") from error
