"""Checks of arguments: one line that names the argument, what it is and what it should be."""

from collections.abc import Iterable

import torch
from torch import Tensor


def dtype(name: str, tensor: Tensor, allowed: Iterable[torch.dtype]) -> None:
    """Raises TypeError unless `tensor` is a tensor of one of the allowed dtypes."""
    wanted = " or ".join(str(d).removeprefix("torch.") for d in allowed)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a {wanted} tensor, not {type(tensor).__name__}")
    if tensor.dtype not in allowed:
        raise TypeError(f"{name} must be {wanted}, not {str(tensor.dtype).removeprefix('torch.')}")


def shape(name: str, tensor: Tensor, wanted: str, fits: bool) -> None:
    """Raises ValueError unless `fits`."""
    if not fits:
        raise ValueError(f"{name} must be {wanted}, not {list(tensor.shape)}")


def device(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Raises ValueError unless both tensors are on one device."""
    if tensor.device != other.device:
        raise ValueError(f"{name} is on {tensor.device} but {other_name} on {other.device}; put both on one device")


def like(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Raises where `tensor` has another dtype (TypeError) or device (ValueError) than `other`."""
    dtype(name, tensor, [other.dtype])
    device(name, tensor, other_name, other)


def finite(name: str, tensor: Tensor) -> None:
    """Raises ValueError for NaN or infinity in a CPU tensor; on CUDA the check would stall the stream."""
    if tensor.device.type == "cpu" and not torch.isfinite(tensor).all():
        raise not_finite(name)


def not_finite(name: str) -> ValueError:
    return ValueError(f"{name} must be finite, but holds NaN or infinity")
