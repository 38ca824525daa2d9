"""Loaders of labelled datasets in their published folder layouts, one module per format."""

from collections.abc import Callable

from avsa_fast.choices import Format as Format

from .eigenscape import eigenscape
from .esc50 import esc50
from .folders import folders
from .hmdb51 import hmdb51
from .labelled import Fold, Item, Labelled
from .tau2021 import tau2021
from .ucf101 import ucf101

LOADERS: dict[Format, Callable[..., Labelled]] = {
    "folders": folders,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "tau2021": tau2021,
    "eigenscape": eigenscape,
    "esc50": esc50,
}

__all__ = ["LOADERS", "Fold", "Format", "Item", "Labelled"]
