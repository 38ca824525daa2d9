"""encode, rotate and beamform in plain PyTorch: the definition that the kernels are tested against."""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsa_fast.spatial.beams import beam_gains, beam_weights
from avsa_fast.spatial.harmonics import order_of
from avsa_fast.spatial.motion import interpolate_directions, interpolate_values, interpolate_vectors

from .harmonics import rotation_matrices, spherical_harmonics, vector_harmonics


def encode(signal: Tensor, directions: Tensor, order: int = 1) -> Tensor:
    """Encodes plane waves into ambisonics.

    Args:
        signal: [..., S, T].
        directions: [..., S, 2] radians, or moving [..., S, P, 2].
        order: 0 to 7.

    Returns:
        [..., (order + 1)², T] (ACN, SN3D).
    """
    if directions.ndim > signal.ndim:
        gains = vector_harmonics(interpolate_vectors(directions, signal.shape[-1]), order)  # [..., S, T, C]
        return torch.einsum("...stc,...st->...ct", gains, signal)
    return spherical_harmonics(directions, order).mT @ signal


def rotate(signals: Tensor, directions: Tensor, *, roll: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
    """Rotates a scene so that each direction comes to the front.

    Args:
        signals: [..., C, T] (ACN, SN3D).
        directions: [..., K, 2] radians, or moving [..., K, P, 2].
        roll: None, [..., K] or moving [..., K, P] radians.
        flip: None or bool [..., K]: mirrors left-right.

    Returns:
        [..., K, C, T].
    """
    order, T = order_of(signals.shape[-2]), signals.shape[-1]
    if directions.ndim > signals.ndim:
        roll = None if roll is None else interpolate_values(roll.unsqueeze(-1), T).squeeze(-1)
        flip = None if flip is None else flip.unsqueeze(-1).expand(*flip.shape, T)
        matrix = rotation_matrices(interpolate_directions(directions, T), roll, flip, order)  # [..., K, T, C, C]
        return torch.einsum("...ktdc,...ct->...kdt", matrix, signals)
    return rotation_matrices(directions, roll, flip, order) @ signals.unsqueeze(-3)


def beamform(signals: Tensor, directions: Tensor, pattern: str | Sequence[float] = "cardioid") -> Tensor:
    """Steers a beam towards each direction.

    Args:
        signals: [..., C, T] (ACN, SN3D).
        directions: [..., K, 2] radians, or moving [..., K, P, 2].
        pattern: A name of spatial.beams.PATTERNS, or order + 1 gains.

    Returns:
        [..., K, T].
    """
    order, T = order_of(signals.shape[-2]), signals.shape[-1]
    if directions.ndim > signals.ndim:
        harmonics = vector_harmonics(interpolate_vectors(directions, T), order)
        weights = beam_weights(harmonics, beam_gains(pattern, order))
        return torch.einsum("...ktc,...ct->...kt", weights, signals)
    return beam_weights(spherical_harmonics(directions, order), beam_gains(pattern, order)) @ signals
