"""Ambisonic scenes turned towards directions."""

from torch import Tensor

from avsa_fast.reference.ambisonics import between

from ._ambisonics import check_pose, check_scene
from ._harmonics import turns
from ._mix import mix
from ._moving import path, turn


def rotate(signals: Tensor, directions: Tensor, *, roll: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
    """Turns a scene of order 0 to 7 so that each direction comes to the front.

    signals: [..., C, T] float16, bfloat16, float32 or float64, C = (order + 1)² (ACN, SN3D: W, Y, Z, X, ...).
    directions: [..., K, 2], (azimuth, elevation) in radians, float64 for float64 signals, else float32;
    [..., K, P, 2] move, along great circles between P equidistant times from the first sample to the last. roll: None
    or [..., K] or [..., K, P], as directions, radians, clockwise as seen from behind. flip: None or bool [..., K]: the
    turned scene mirrored left-right (channels odd in y negated). Returns [..., K, C, T] like signals, where a plane
    wave from the direction comes from the front. Differentiable in signals, directions and roll.
    Raises TypeError for another dtype; ValueError for shapes that do not fit or, on the CPU, a sample or angle that is
    not finite (on CUDA what depends on it is NaN).
    Method: Ivanic and Ruedenberg 1996, "Rotation Matrices for Real Spherical Harmonics", with the corrections of 1998.
    """
    order = check_scene(signals, directions)
    moving = directions.ndim > signals.ndim
    check_pose(roll, flip, directions, moving=moving)
    C, T = signals.shape[-2:]
    if moving:
        roll = None if roll is None else between(roll.unsqueeze(-1), T).squeeze(-1)
        return turn(signals, path(directions, T), roll, flip, order)
    matrix = turns(directions, roll, flip, order)
    return mix(signals, matrix.flatten(-3, -2), order=order).unflatten(-2, (directions.shape[-2], C))
