"""encode, rotate and beamform: plane waves to ambisonics, rotated scenes, steered beams."""

from collections.abc import Sequence

from torch import Tensor

from avsa_fast.spatial.beams import beam_gains, beam_weights
from avsa_fast.spatial.harmonics import MAX_ORDER
from avsa_fast.spatial.motion import interpolate_values

from . import _checks
from ._ambisonics_op import harmonics, mix, rotation_matrices
from ._moving import directions_per_sample, harmonics_per_sample, mix_moving, rotate_moving


def encode(signal: Tensor, directions: Tensor, order: int = 1) -> Tensor:
    """Encodes plane waves into ambisonics (ACN channel order, SN3D normalisation: W, Y, Z, X, ...).

    Differentiable in signal and directions, any number of times.

    Args:
        signal: [..., S, T], float16, bfloat16, float32 or float64; S sources.
        directions: [..., S, 2], azimuth and elevation in radians, float64 for a float64 signal, else float32. Moving
            sources: [..., S, P, 2], at P equidistant times from the first sample to the last, along great circles.
        order: 0 to 7.

    Returns:
        [..., (order + 1)², T] of the signal's dtype.

    Raises:
        TypeError: An argument has an unsupported dtype.
        ValueError: The shapes do not match, or the order is not supported. On the CPU also for NaN, infinity, and
            elevations beyond ±pi/2; on CUDA the outputs that depend on them are NaN.
    """
    order = _checks.integer("order", order, 0, MAX_ORDER)
    _checks.dtype("signal", signal, _checks.FLOATS)
    _checks.shape("signal", signal, "[..., S, T]", signal.ndim >= 2)
    _checks.matching_directions("signal", signal, directions)
    S = signal.shape[-2]
    _checks.shape("directions", directions, f"{[*signal.shape[:-1], 2]}", directions.shape[signal.ndim - 2] == S)
    if directions.ndim > signal.ndim:
        gains = harmonics_per_sample(directions, signal.shape[-1], order)  # [..., S, T, C]
        return mix_moving(gains, signal, "...stc,...st->...ct")
    return mix(signal, harmonics(directions, order).mT, -1)


def rotate(signals: Tensor, directions: Tensor, *, roll: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
    """Rotates an ambisonic scene so that each direction comes to the front.

    Differentiable in signals, directions and roll, any number of times. The matrices are computed by Ivanic and
    Ruedenberg 1996, "Rotation Matrices for Real Spherical Harmonics", with the corrections of 1998.

    Args:
        signals: [..., C, T], float16, bfloat16, float32 or float64; C = (order + 1)² channels (ACN, SN3D) of order 0
            to 7.
        directions: [..., K, 2], azimuth and elevation in radians, float64 for float64 signals, else float32. Moving
            directions: [..., K, P, 2], at P equidistant times from the first sample to the last, along great circles.
        roll: None, or radians of the directions' dtype, [..., K] or moving [..., K, P]; clockwise as seen from behind.
        flip: None, or bool [..., K]: mirrors the rotated scene left-right (negates the channels that are odd in y).

    Returns:
        [..., K, C, T] of the signals' dtype. A plane wave from the direction comes from the front in it.

    Raises:
        TypeError: An argument has an unsupported dtype.
        ValueError: The shapes do not match. On the CPU also for NaN, infinity, and elevations beyond ±pi/2; on CUDA the
            outputs that depend on them are NaN.
    """
    order = _checks.scene(signals, directions)
    moving = directions.ndim > signals.ndim
    _checks.pose(roll, flip, directions, moving=moving)
    C, T = signals.shape[-2:]
    if moving:
        roll = None if roll is None else interpolate_values(roll.unsqueeze(-1), T).squeeze(-1)
        return rotate_moving(signals, directions_per_sample(directions, T), roll, flip, order)
    matrix = rotation_matrices(directions, roll, flip, order)
    return mix(signals, matrix.flatten(-3, -2), order).unflatten(-2, (directions.shape[-2], C))


def beamform(signals: Tensor, directions: Tensor, pattern: str | Sequence[float] = "cardioid") -> Tensor:
    """Steers a beam towards each direction: the sum over orders n of a_n times the sum over m of Y_nm(direction) s_nm.

    Differentiable in signals and directions, any number of times. Patterns: docs/ambisonics.md.

    Args:
        signals: [..., C, T], float16, bfloat16, float32 or float64; C = (order + 1)² channels (ACN, SN3D) of order 0
            to 7.
        directions: [..., K, 2], azimuth and elevation in radians, float64 for float64 signals, else float32. Moving
            directions: [..., K, P, 2], at P equidistant times from the first sample to the last, along great circles.
        pattern: "cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase", or the order + 1 gains a_n.

    Returns:
        [..., K, T] of the signals' dtype.

    Raises:
        TypeError: An argument has an unsupported type or dtype.
        ValueError: The pattern is unknown or the shapes do not match. On the CPU also for NaN, infinity, and elevations
            beyond ±pi/2; on CUDA the outputs that depend on them are NaN.
    """
    order = _checks.scene(signals, directions)
    if not isinstance(pattern, str):
        pattern = _checks.numbers("pattern", pattern, order + 1, alternative="a name or, of orders 0, 1, ..., ")
    gains = beam_gains(pattern, order)
    if directions.ndim > signals.ndim:
        weights = beam_weights(harmonics_per_sample(directions, signals.shape[-1], order), gains)
        return mix_moving(weights, signals, "...ktc,...ct->...kt")  # weights [..., K, T, C]
    return mix(signals, beam_weights(harmonics(directions, order), gains), -1)
