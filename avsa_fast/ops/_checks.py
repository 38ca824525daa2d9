"""Checks of arguments. Each raises an error of one line: the argument, what it must be, and what it is."""

from collections.abc import Iterable

import torch
from torch import Tensor

from avsa_fast.spatial.harmonics import order_of

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


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
    """Raises TypeError for another dtype than `other` has, ValueError for another device."""
    dtype(name, tensor, [other.dtype])
    device(name, tensor, other_name, other)


def finite(name: str, tensor: Tensor) -> None:
    """Raises ValueError for NaN or infinity in a CPU tensor; on CUDA the check would stall the stream."""
    if tensor.device.type == "cpu" and not torch.isfinite(tensor).all():
        raise not_finite(name)


def not_finite(name: str) -> ValueError:
    """The error for NaN or infinity in an argument."""
    return ValueError(f"{name} must be finite, but {'hold' if name == 'signals' else 'holds'} NaN or infinity")


def scene(signals: Tensor, directions: Tensor) -> int:
    """Checks signals [..., (order + 1)², T] and their directions [..., K, 2] or [..., K, P, 2]; returns the order."""
    dtype("signals", signals, FLOATS)
    shape("signals", signals, "[..., C, T]", signals.ndim >= 2)
    order = order_of(signals.shape[-2])
    if order < 0:
        wanted = "(order + 1)² channels, 1, 4, 9, ... 64 of orders 0 to 7"
        raise ValueError(f"signals must have {wanted}, not {signals.shape[-2]} channels")
    looks("signals", signals, directions)
    return order


def looks(signals_name: str, signals: Tensor, directions: Tensor) -> None:
    """Checks directions [..., K, 2] or moving [..., K, P, 2] with the leading dimensions of signals [..., C, T].

    They must be float64 for float64 signals, else float32.
    """
    dtype("directions", directions, [angle_dtype(signals)])
    device("directions", directions, signals_name, signals)
    leading = list(signals.shape[:-2])
    fits = (
        directions.ndim in (signals.ndim, signals.ndim + 1)
        and directions.shape[-1] == 2
        and list(directions.shape[: len(leading)]) == leading
        and (directions.ndim == signals.ndim or directions.shape[-2] >= 1)
    )
    if not fits:  # torch.compile cannot trace str of a symbolic size; that of a list it can
        wanted = ", ".join([*map(str, leading), "K"])
        shapes = f"[{wanted}, 2] or, if they move, [{wanted}, P, 2] for {signals_name} {list(signals.shape)}"
        raise ValueError(f"directions must be {shapes}, not {list(directions.shape)}")


def angle_dtype(signals: Tensor) -> torch.dtype:
    """float64 for float64 signals, else float32: narrower angles are coarser than 1°."""
    return torch.float64 if signals.dtype == torch.float64 else torch.float32


def pose(roll: Tensor | None, flip: Tensor | None, directions: Tensor, *, moving: bool = False) -> None:
    """Checks roll (of the directions' dtype) and flip (bool): the directions' shape without the last dimension.

    flip does not move: for moving directions [..., K, P, 2] it is [..., K].
    """
    if roll is not None:
        wanted = list(directions.shape[:-1])
        like("roll", roll, "directions", directions)
        shape("roll", roll, f"{wanted} for directions {list(directions.shape)}", list(roll.shape) == wanted)
    if flip is not None:
        wanted = list(directions.shape[: -2 if moving else -1])
        dtype("flip", flip, [torch.bool])
        device("flip", flip, "directions", directions)
        shape("flip", flip, f"{wanted} for directions {list(directions.shape)}", list(flip.shape) == wanted)
