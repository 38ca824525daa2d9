"""What encode, rotate and beamform share: checks of signals and directions, and the gradient of a mixing matrix."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from . import _check
from ._autograd import gradients

FLOATS = (torch.float32, torch.float64)


def check_scene(signals: Tensor, directions: Tensor) -> None:
    """Raises unless signals are [..., 4, T] and directions [..., K, 2] with the same leading dimensions."""
    _check.dtype("signals", signals, FLOATS)
    _check.shape("signals", signals, "[..., C, T]", signals.ndim >= 2)
    if signals.shape[-2] != 4:
        raise ValueError(f"signals must have the 4 channels W, Y, Z, X of order 1, not {signals.shape[-2]} channels")
    check_directions("signals", signals, directions)


def check_directions(signals_name: str, signals: Tensor, directions: Tensor) -> None:
    """Raises unless directions are [..., K, 2], like the signals and with their leading dimensions."""
    _check.like("directions", directions, signals_name, signals)
    if directions.ndim == signals.ndim + 1 and directions.shape[-1] == 2:
        raise ValueError(f"directions {list(directions.shape)} move: directions that move are not supported yet")
    leading = list(signals.shape[:-2])
    fits = directions.ndim == signals.ndim and directions.shape[-1] == 2 and list(directions.shape[:-2]) == leading
    if not fits:  # the line is made only then: torch.compile cannot make it of sizes that vary
        wanted = ", ".join([*map(str, leading), "K", "2"])
        shapes = f"[{wanted}] for {signals_name} {list(signals.shape)}"
        raise ValueError(f"directions must be {shapes}, not {list(directions.shape)}")


def check_pose(roll: Tensor | None, flip: Tensor | None, directions: Tensor) -> None:
    """Raises unless roll (like directions) and flip (bool) have the shape of directions without its last dimension."""
    wanted = list(directions.shape[:-1])
    if roll is not None:
        _check.like("roll", roll, "directions", directions)
        _check.shape("roll", roll, f"{wanted} for directions {list(directions.shape)}", list(roll.shape) == wanted)
    if flip is not None:
        _check.dtype("flip", flip, [torch.bool])
        _check.device("flip", flip, "directions", directions)
        _check.shape("flip", flip, f"{wanted} for directions {list(directions.shape)}", list(flip.shape) == wanted)


def mixing_backward(
    grad: Tensor,
    signals: Tensor,
    poses: Sequence[Tensor | None],
    needed: Sequence[bool],
    matrix: Callable[..., Tensor],
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """Gradients of out = matrix(*poses) @ signals: those of signals and of each pose that is needed, else None.

    grad [..., M, T], signals [..., C, T], matrix [..., M, C], which the reference rebuilds with its graph.
    """
    to_poses: tuple[Tensor | None, ...] = (None,) * len(poses)
    if any(needed):
        to_poses = gradients(matrix, poses, needed, grad @ signals.mT)
    return matrix(*poses).mT @ grad, to_poses
