"""The operations: argument checks, allocation, autograd and torch registration around the kernels of avsa_fast._C.

Each has a twin of the same signature in avsa_fast.reference. Angles are radians; see the docstrings for shapes.
"""

from ._kernel import extension
from .beamform import beamform
from .encode import encode
from .gnomonic import gnomonic
from .info_nce import info_nce
from .rotate import rotate
from .spatial_features import spatial_features

__all__ = ["beamform", "encode", "extension", "gnomonic", "info_nce", "rotate", "spatial_features"]
