"""What users do with an operation: each use as a function that asserts the right values of a call."""

from . import compiled, modes, numbers, processes, transforms
from .registry import GROUPS, USES, Use, outcome, refusal

__all__ = ["GROUPS", "USES", "Use", "compiled", "modes", "numbers", "outcome", "processes", "refusal", "transforms"]
