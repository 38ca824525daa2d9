"""The operations of avsa_fast.ops in plain PyTorch, for any float dtype: what the kernels are tested against.

Same names, same signatures; arguments are not checked here.
"""

from .ambisonics import beamform, encode, rotate
from .gnomonic import gnomonic

__all__ = ["beamform", "encode", "gnomonic", "rotate"]
