"""Sound event localisation and detection (SELD): training on a run's audio encoder, prediction, and DCASE's metrics."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Imports the public functions on first use, so that the commands read their options without what they need."""
    if name not in {"intervals", "scores"}:
        raise AttributeError(f"module 'avsa_fast.seld' has no attribute {name!r}")
    from . import metrics

    return getattr(metrics, name)
