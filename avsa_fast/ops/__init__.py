"""The operations on CPU and CUDA tensors, differentiable and usable under torch.compile.

Each has a function of the same signature in avsa_fast.reference. Angles are in radians; a direction is (azimuth,
elevation).
"""

from ._ambisonics import beamform, encode, rotate
from ._features import spatial_features
from ._gnomonic import gnomonic
from ._info_nce import info_nce

__all__ = ["beamform", "encode", "gnomonic", "info_nce", "rotate", "spatial_features"]
