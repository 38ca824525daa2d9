"""Preparation of a folder of 360° videos as a dataset folder."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avsa_fast.prepare.options import PrepareOptions
    from avsa_fast.prepare.run import prepare, prepare_folder, prepare_for_crops

__all__ = ["PrepareOptions", "prepare", "prepare_folder", "prepare_for_crops"]


def __getattr__(name: str) -> Any:
    """Imports what the package exports on first use, so that the command reads its options without loading torch."""
    if name not in __all__:
        raise AttributeError(f"module 'avsa_fast.prepare' has no attribute {name!r}")
    return getattr(import_module(f"avsa_fast.prepare.{'options' if name == 'PrepareOptions' else 'run'}"), name)
