"""Beams steered towards directions."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from avsa_fast.reference.ambisonics import beam_gains, beam_weights

from . import _check
from ._ambisonics import check_scene, mixing_backward
from ._kernel import DTYPES, run
from ._library import register


def beamform(signals: Tensor, directions: Tensor, pattern: str | Sequence[float] = "cardioid") -> Tensor:
    """Listens towards each direction with a first-order beam: sum over n of a_n, over m of Y_nm(direction) s_nm.

    signals: [..., 4, T] float32 or float64 (ACN, SN3D: W, Y, Z, X). directions: [..., K, 2] like signals, (azimuth,
    elevation) in radians. pattern: "cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase", or the 2 gains
    of orders 0 and 1. Returns [..., K, T]. Differentiable in signals and directions.
    Raises TypeError for another dtype; ValueError for an unknown pattern, shapes that do not fit or, on the CPU, an
    angle that is not finite (on CUDA it gives NaN).
    """
    check_scene(signals, directions)
    return torch.ops.avsa_fast.beamform.default(signals, directions, *beam_gains(pattern))


def _beamform(signals: Tensor, directions: Tensor, gain_0: float, gain_1: float) -> Tensor:
    _check.finite("directions", directions)
    signals, directions = signals.contiguous(), directions.contiguous()
    *leading, _, T = signals.shape
    K = directions.shape[-2]
    out = signals.new_empty(*leading, K, T)
    run(
        "beamform", signals.device, DTYPES[signals.dtype], signals.data_ptr(), directions.data_ptr(), gain_0, gain_1,
        out.data_ptr(), prod(leading), K, T,
    )  # fmt: skip
    return out


def _shape(signals: Tensor, directions: Tensor, gain_0: float, gain_1: float) -> Tensor:
    return signals.new_empty(*directions.shape[:-1], signals.shape[-1])


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, float, float], output: Tensor) -> None:
    signals, directions, gain_0, gain_1 = inputs
    ctx.gains = gain_0, gain_1
    ctx.save_for_backward(signals, directions)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    signals, directions = ctx.saved_tensors
    needed = ctx.needs_input_grad[1:2]
    to_signals, to_poses = mixing_backward(grad, signals, [directions], needed, lambda d: beam_weights(d, ctx.gains))
    return to_signals, *to_poses, None, None


register(
    "beamform(Tensor signals, Tensor directions, float gain_0, float gain_1) -> Tensor",
    _beamform, _shape, _save, _backward,
)  # fmt: skip
