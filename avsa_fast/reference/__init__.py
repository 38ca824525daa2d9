"""The operations of avsa_fast.ops in plain PyTorch, for any float dtype: what the kernels are tested against.

Same names, same signatures; arguments are not checked here.
"""

from .ambisonics import beamform, encode, rotate
from .gnomonic import gnomonic
from .info_nce import info_nce
from .spatial_features import spatial_features

__all__ = ["beamform", "encode", "gnomonic", "info_nce", "rotate", "spatial_features"]
