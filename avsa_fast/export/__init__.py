"""Export of trained encoders: torch.export and ONNX programs, and a model folder for the Hugging Face hub."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Imports `Pretrained` lazily, so that the command can report a missing extra `export`."""
    if name != "Pretrained":
        raise AttributeError(f"module 'avsa_fast.export' has no attribute {name!r}")
    from .pretrained import Pretrained

    return Pretrained
