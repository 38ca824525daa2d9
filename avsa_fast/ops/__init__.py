"""The operations: argument checks, allocation, autograd and torch registration around the kernels of avsa_fast._C.

Each has a twin of the same signature in avsa_fast.reference. Angles are radians; see the docstrings for shapes.
"""

from ._kernel import extension
from .beamform import beamform
from .encode import encode
from .gnomonic import gnomonic
from .rotate import rotate

__all__ = ["beamform", "encode", "extension", "gnomonic", "rotate"]
