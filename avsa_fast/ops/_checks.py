"""Checks of arguments. Each raises an error of one line: the argument, what it must be, and what it is.

Numbers may be Python's or NumPy's. Those that return a value return it as Python's.
"""

from collections.abc import Iterable, Sequence
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avsa_fast.spatial.harmonics import order_of

from ._dispatch import _C

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def dtype(name: str, tensor: Tensor, allowed: Iterable[torch.dtype]) -> None:
    """Raises TypeError unless `tensor` is a tensor of one of the allowed dtypes."""
    expected = " or ".join(str(d).removeprefix("torch.") for d in allowed)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a {expected} tensor, not {type(tensor).__name__}")
    if tensor.dtype not in allowed:
        raise TypeError(f"{name} must be {expected}, not {str(tensor.dtype).removeprefix('torch.')}")


def choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raises ValueError unless `value` is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def flag(name: str, value: Any) -> bool:
    """The value as a bool. Raises TypeError unless it is one."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def integer(name: str, value: Any, minimum: int, maximum: float = float("inf")) -> int:
    """The value as an int. Raises TypeError unless it is an integer, ValueError unless it is within the bounds."""
    if isinstance(value, torch.SymInt):  # a size while torch.export traces
        return value  # type: ignore[return-value]  # int wherever it is traced
    right_type = isinstance(value, Integral) and not isinstance(value, bool)
    if not right_type or not minimum <= value <= maximum:
        bounds = f"of at least {minimum}" if maximum == float("inf") else f"from {minimum} to {maximum}"
        raise (ValueError if right_type else TypeError)(f"{name} must be an integer {bounds}, not {value!r}")
    return int(value)


def number(name: str, value: Any, *, expected: str = "a number") -> float:
    """The value as a float. Raises TypeError unless it is a number, or an array of one."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not _is_number(value):
        raise TypeError(f"{name} must be {expected}, not {value!r}")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def numbers(name: str, values: Any, count: int, *, positive: bool = False, alternative: str = "") -> list[float]:
    """A sequence, array or tensor of finite numbers as floats. `alternative` is what else is allowed, for messages.

    Raises:
        TypeError: It is something else, or a tensor that requires a gradient, which would not receive one.
        ValueError: It does not hold `count` finite numbers, above 0 if positive.
    """
    expected = f"{alternative}{count} finite{' positive' if positive else ''} numbers"
    if isinstance(values, Tensor) and values.requires_grad:
        raise TypeError(
            f"{name} must be {expected} without a gradient, which it does not receive: pass {name}.detach()"
        )
    if isinstance(values, np.ndarray | Tensor):
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, str) or not all(map(_is_number, values)):
        raise TypeError(f"{name} must be {expected}, not {values!r}")
    found = [float(value) for value in values]
    if len(found) != count or not all(abs(x) < inf and (x > 0 or not positive) for x in found):
        raise ValueError(f"{name} must be {expected}, not {found}")
    return found


def shape(name: str, tensor: Tensor, expected: str, fits: bool) -> None:
    """Raises ValueError unless `fits`."""
    if not fits:
        raise ValueError(f"{name} must be {expected}, not {list(tensor.shape)}")


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


def directions(directions: Tensor) -> None:
    """Raises ValueError for directions [..., 2] of a CPU tensor that are not finite or have elevations beyond ±pi/2."""
    finite("directions", directions)
    if directions.device.type == "cpu":
        elevations = directions[..., 1]
        beyond = elevations[elevations.abs() > _C.MAX_ELEVATION]
        if len(beyond):
            raise ValueError(
                "directions must be in radians, with elevations within ±pi/2 (±1.5708), but an elevation is "
                f"{beyond[0].item():.6g}"
            )


def temperature(temperature: Tensor) -> None:
    """Raises ValueError for a temperature [] on the CPU that is not finite and above 0."""
    if temperature.device.type == "cpu" and not 0 < temperature.item() < inf:
        raise ValueError(f"temperature must be finite and above 0, not {temperature.item()!r}")


def scene(signals: Tensor, directions: Tensor) -> int:
    """Checks signals [..., (order + 1)², T] and their directions [..., K, 2] or [..., K, P, 2]; returns the order."""
    dtype("signals", signals, FLOATS)
    shape("signals", signals, "[..., C, T]", signals.ndim >= 2)
    order = order_of(signals.shape[-2])
    if order < 0:
        expected = "(order + 1)² channels, 1, 4, 9, ... 64 of orders 0 to 7"
        raise ValueError(f"signals must have {expected}, not {signals.shape[-2]} channels")
    matching_directions("signals", signals, directions)
    return order


def matching_directions(signals_name: str, signals: Tensor, directions: Tensor) -> None:
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
    if not fits:  # formatted only here: torch.compile cannot format symbolic sizes
        expected = ", ".join([*map(str, leading), "K"])
        shapes = f"[{expected}, 2] or, if they move, [{expected}, P, 2] for {signals_name} {list(signals.shape)}"
        raise ValueError(f"directions must be {shapes}, not {list(directions.shape)}")


def angle_dtype(signals: Tensor) -> torch.dtype:
    """float64 for float64 signals, else float32: narrower angles are coarser than 1°."""
    return torch.float64 if signals.dtype == torch.float64 else torch.float32


def pose(roll: Tensor | None, flip: Tensor | None, directions: Tensor, *, moving: bool = False) -> None:
    """Checks roll (of the directions' dtype) and flip (bool): the directions' shape without the last dimension.

    flip does not move: for moving directions [..., K, P, 2] it is [..., K].
    """
    if roll is not None:
        expected = list(directions.shape[:-1])
        like("roll", roll, "directions", directions)
        shape("roll", roll, f"{expected} for directions {list(directions.shape)}", list(roll.shape) == expected)
    if flip is not None:
        expected = list(directions.shape[: -2 if moving else -1])
        dtype("flip", flip, [torch.bool])
        device("flip", flip, "directions", directions)
        shape("flip", flip, f"{expected} for directions {list(directions.shape)}", list(flip.shape) == expected)
