"""Checks that encode, rotate, beamform and spatial_features share: signals, directions and poses."""

import torch
from torch import Tensor

from avsa_fast.reference.harmonics import order_of

from . import _check

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_scene(signals: Tensor, directions: Tensor) -> int:
    """The order of signals [..., (order + 1)², T]; directions are [..., K, 2] or [..., K, P, 2]. Raises otherwise."""
    _check.dtype("signals", signals, FLOATS)
    _check.shape("signals", signals, "[..., C, T]", signals.ndim >= 2)
    order = order_of(signals.shape[-2])
    if order < 0:
        wanted = "(order + 1)² channels, 1, 4, 9, ... 64 of orders 0 to 7"
        raise ValueError(f"signals must have {wanted}, not {signals.shape[-2]} channels")
    check_directions("signals", signals, directions)
    return order


def check_directions(signals_name: str, signals: Tensor, directions: Tensor) -> None:
    """Raises unless directions are [..., K, 2] or [..., K, P, 2] (they move) with the signals' leading dimensions.

    They are float64 where the signals are, else float32.
    """
    _check.dtype("directions", directions, [angle_dtype(signals)])
    _check.device("directions", directions, signals_name, signals)
    leading = list(signals.shape[:-2])
    fits = (
        directions.ndim in (signals.ndim, signals.ndim + 1)
        and directions.shape[-1] == 2
        and list(directions.shape[: len(leading)]) == leading
        and (directions.ndim == signals.ndim or directions.shape[-2] >= 1)
    )
    if not fits:  # the line is made only then: torch.compile cannot make it of sizes that vary
        wanted = ", ".join([*map(str, leading), "K"])
        shapes = f"[{wanted}, 2] or, where they move, [{wanted}, P, 2] for {signals_name} {list(signals.shape)}"
        raise ValueError(f"directions must be {shapes}, not {list(directions.shape)}")


def angle_dtype(signals: Tensor) -> torch.dtype:
    """float64 for float64 signals, else float32: narrower angles are coarser than 1°."""
    return torch.float64 if signals.dtype == torch.float64 else torch.float32


def check_pose(roll: Tensor | None, flip: Tensor | None, directions: Tensor, *, moving: bool = False) -> None:
    """Raises unless roll (like directions) and flip (bool) have the shape of directions without its last dimension.

    flip does not move: where directions are [..., K, P, 2], it is [..., K].
    """
    if roll is not None:
        wanted = list(directions.shape[:-1])
        _check.like("roll", roll, "directions", directions)
        _check.shape("roll", roll, f"{wanted} for directions {list(directions.shape)}", list(roll.shape) == wanted)
    if flip is not None:
        wanted = list(directions.shape[: -2 if moving else -1])
        _check.dtype("flip", flip, [torch.bool])
        _check.device("flip", flip, "directions", directions)
        _check.shape("flip", flip, f"{wanted} for directions {list(directions.shape)}", list(flip.shape) == wanted)
