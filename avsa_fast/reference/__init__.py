"""The operations of avsa_fast.ops in plain PyTorch: the definitions that the kernels are tested against.

They have the same names and signatures (info_nce ignores precision and group), take any float dtype and do not check
their arguments.
"""

from .ambisonics import beamform, encode, rotate
from .gnomonic import gnomonic
from .info_nce import info_nce
from .spatial_features import spatial_features

__all__ = ["beamform", "encode", "gnomonic", "info_nce", "rotate", "spatial_features"]
