"""Plane waves into ambisonics."""

from torch import Tensor

from avsa_fast.reference.harmonics import MAX_ORDER

from . import _check
from ._ambisonics import FLOATS, check_directions
from ._harmonics import harmonics
from ._mix import mix
from ._moving import path, weigh


def encode(signal: Tensor, directions: Tensor, order: int = 1) -> Tensor:
    """Encodes sources at directions into ambisonics (ACN channel order, SN3D norm: W, Y, Z, X, ...).

    signal: [..., S, T] float16, bfloat16, float32 or float64, S sources. directions: [..., S, 2], (azimuth, elevation)
    in radians, float64 for a float64 signal, else float32; [..., S, P, 2] move, along great circles between P
    equidistant times from the first sample to the last. order: 0 to 7. Returns [..., (order + 1)², T] like signal.
    Differentiable in signal and directions.
    Raises TypeError for another dtype; ValueError for shapes that do not fit, another order or, on the CPU, a sample or
    angle that is not finite (on CUDA what depends on it is NaN).
    """
    if not isinstance(order, int) or not 0 <= order <= MAX_ORDER:
        raise ValueError(f"order must be 0 to {MAX_ORDER}, not {order!r}")
    _check.dtype("signal", signal, FLOATS)
    _check.shape("signal", signal, "[..., S, T]", signal.ndim >= 2)
    check_directions("signal", signal, directions)
    S = signal.shape[-2]
    _check.shape("directions", directions, f"{[*signal.shape[:-1], 2]}", directions.shape[signal.ndim - 2] == S)
    if directions.ndim > signal.ndim:
        gains = harmonics(path(directions, signal.shape[-1]), order)  # [..., S, T, C]
        return weigh(gains, signal, "...stc,...st->...ct")
    return mix(signal, harmonics(directions, order).mT)
