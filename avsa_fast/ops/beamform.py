"""Beams steered towards directions."""

from collections.abc import Sequence

from torch import Tensor

from avsa_fast.reference.ambisonics import beam_weights
from avsa_fast.reference.harmonics import beam_gains

from ._ambisonics import check_scene
from ._harmonics import harmonics
from ._mix import mix
from ._moving import path, weigh


def beamform(signals: Tensor, directions: Tensor, pattern: str | Sequence[float] = "cardioid") -> Tensor:
    """Listens towards each direction: the sum over orders n of a_n, over m of Y_nm(direction) s_nm.

    signals: [..., C, T] float16, bfloat16, float32 or float64, C = (order + 1)² of order 0 to 7 (ACN, SN3D: W, Y, Z, X,
    ...). directions: [..., K, 2], (azimuth, elevation) in radians, float64 for float64 signals, else float32;
    [..., K, P, 2] move, along great circles between P equidistant times from the first sample to the last. pattern:
    "cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase", or the order + 1 gains a_n. Returns [..., K, T]
    like signals. Differentiable in signals and directions.
    Raises TypeError for another dtype; ValueError for an unknown pattern, shapes that do not fit or, on the CPU, a
    sample or angle that is not finite (on CUDA what depends on it is NaN).
    """
    order = check_scene(signals, directions)
    gains = beam_gains(pattern, order)
    if directions.ndim > signals.ndim:
        weights = beam_weights(harmonics(path(directions, signals.shape[-1]), order), gains)  # [..., K, T, C]
        return weigh(weights, signals, "...ktc,...ct->...kt")
    return mix(signals, beam_weights(harmonics(directions, order), gains))
