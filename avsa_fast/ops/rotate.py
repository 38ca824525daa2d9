"""Ambisonic scenes turned towards directions."""

from math import prod
from typing import Any

import torch
from torch import Tensor

from avsa_fast.reference.ambisonics import rotation_to_front

from . import _check
from ._ambisonics import check_pose, check_scene, mixing_backward
from ._kernel import DTYPES, address, run
from ._library import register


def rotate(signals: Tensor, directions: Tensor, *, roll: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
    """Turns a first-order scene so that each direction comes to the front.

    signals: [..., 4, T] float32 or float64 (ACN, SN3D: W, Y, Z, X). directions: [..., K, 2] like signals, (azimuth,
    elevation) in radians. roll: None or [..., K] like directions, radians, clockwise as seen from behind. flip: None or
    bool [..., K]: the turned scene mirrored left-right (Y negated). Returns [..., K, 4, T], where a plane wave from the
    direction has only W and X. Differentiable in signals, directions and roll.
    Raises TypeError for another dtype; ValueError for shapes that do not fit or, on the CPU, an angle that is not
    finite (on CUDA it gives NaN).
    """
    check_scene(signals, directions)
    check_pose(roll, flip, directions)
    return torch.ops.avsa_fast.rotate.default(signals, directions, roll, flip)


def _rotate(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None) -> Tensor:
    _check.finite("directions", directions)
    if roll is not None:
        _check.finite("roll", roll)
        roll = roll.contiguous()
    if flip is not None:
        flip = flip.contiguous()
    signals, directions = signals.contiguous(), directions.contiguous()
    *leading, _, T = signals.shape
    K = directions.shape[-2]
    out = signals.new_empty(*leading, K, 4, T)
    run(
        "rotate", signals.device, DTYPES[signals.dtype], signals.data_ptr(), directions.data_ptr(), address(roll),
        address(flip), out.data_ptr(), prod(leading), K, T,
    )  # fmt: skip
    return out


def _shape(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None) -> Tensor:
    return signals.new_empty(*directions.shape[:-1], 4, signals.shape[-1])


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    signals, directions, roll, flip = ctx.saved_tensors
    scenes = signals.unsqueeze(-3)  # [..., 1, 4, T], for the K views
    to_scenes, to_poses = mixing_backward(
        grad, scenes, [directions, roll], ctx.needs_input_grad[1:3], lambda d, r: rotation_to_front(d, r, flip)
    )
    return to_scenes.sum(-3), *to_poses, None


register(
    "rotate(Tensor signals, Tensor directions, Tensor? roll, Tensor? flip) -> Tensor",
    _rotate, _shape, _save, _backward,
)  # fmt: skip
