"""Encoders for use elsewhere: torch.export and ONNX programs, and a folder that the Hugging Face hub takes."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Pretrained, imported when first used: without the extra `export` the command can say what is missing."""
    if name != "Pretrained":
        raise AttributeError(f"module 'avsa_fast.export' has no attribute {name!r}")
    from .pretrained import Pretrained

    return Pretrained
