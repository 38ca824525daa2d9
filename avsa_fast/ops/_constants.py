"""Constant tensors on the device of another tensor.

A tensor made from Python's numbers is copied from the host, which stalls the stream and cannot be captured in a CUDA
graph. These are copied once per process and device, by the first call, or written by kernels.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import expm
from torch import Tensor

from avsa_fast.spatial.harmonics import generators, mirror_signs, orders_of_channels

from ._dispatch import register


def _degrees(order: int) -> NDArray[np.int64]:
    """Degree m of each channel."""
    return np.array([m for n in range(order + 1) for m in range(-n, n + 1)])


def _axis_rotations(order: int) -> NDArray[np.float64]:
    """Matrices [2, C, C] that rotate the y axis to z, and the x axis to z."""
    x, y, _ = generators(order)
    return np.stack([expm(pi / 2 * x), expm(-pi / 2 * y)])


def _same_order(order: int) -> NDArray[np.bool_]:
    """Whether two channels [C, C] have the same order."""
    orders = np.array(orders_of_channels(order))
    return orders[:, None] == orders


# By name; each of the order of a scene of C = (order + 1)² channels.
TABLES: dict[str, Callable[[int], NDArray[Any]]] = {
    "generators": generators,  # [3, C, C]
    "same_order": _same_order,
    "axis_rotations": _axis_rotations,
    "mirror_signs": lambda order: np.array(mirror_signs(order)),  # [C]
    "opposite": lambda order: np.arange((order + 1) ** 2) - 2 * _degrees(order),  # [C], the channel of degree -m
    "degree_index": lambda order: _degrees(order) + order,  # [C], the degree's place among -order, ..., order
}


@lru_cache(maxsize=256)
def _table(name: str, order: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it stays, and may be used in training
        return torch.from_numpy(TABLES[name](order)).to(device, dtype)


def _constant(like: Tensor, name: str, order: int, dtype: torch.dtype) -> Tensor:
    return _table(name, order, dtype, like.device).clone()  # compiled code may write into an operation's outputs


def _constant_fake(like: Tensor, name: str, order: int, dtype: torch.dtype) -> Tensor:
    return like.new_empty(TABLES[name](order).shape, dtype=dtype)


# An operation, so that torch.compile calls it instead of copying the table anew.
_constant_operation = register(_constant, _constant_fake)


def constant(name: str, order: int, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A table on the device of a tensor.

    Args:
        name: Of TABLES.
        order: 0 to 7.
        like: Has the device and, unless given, the dtype.
        dtype: Of the result.

    Returns:
        The table, which the caller may overwrite.
    """
    return _constant_operation(like.detach(), name, int(order), like.dtype if dtype is None else dtype)


def vector(values: Sequence[float], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A few numbers [n] on the device of `like`, each written by a kernel."""
    dtype = like.dtype if dtype is None else dtype
    return torch.cat([like.new_full((1,), value, dtype=dtype) for value in values])
