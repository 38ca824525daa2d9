"""Fingerprints of 128 bits by which nearly equal sounds and pictures are found, whatever their encoding and size."""

import torch
from torch import Tensor

from avsa_fast.data.field import CUTOFF, Field

BITS, WORD = 128, 32
BANDS, SEGMENTS = 9, 17  # of a sound: (BANDS - 1) · (SEGMENTS - 1) = BITS
LOWEST = 250.0  # Hz, of a sound's bands
ROWS, COLUMNS = 8, 16  # of a picture: ROWS · COLUMNS = BITS
MIN_CONTRAST = 2.0  # grey levels; a picture of less has no fingerprint
FLOOR = 1e-3  # of the mean energy of a band in a segment: what is quieter is not compared
MIN_ENERGY = 1e-6  # mean square of a window's spectrum in which a sound has a fingerprint


def sound_print(field: Field) -> list[int] | None:
    """Computes the fingerprint of a sound: whether the slope of its spectrum rises or falls from time to time.

    Each bit is the sign of the difference, between neighbouring segments of time, of the difference of the logarithmic
    energies of neighbouring bands (Haitsma and Kalker 2002, with few and long segments). Gains do not change it.

    Args:
        field: Statistics of the scene; only those of W are used.

    Returns:
        Four words of 32 bits; None for a sound that is silent or shorter than SEGMENTS windows.
    """
    energy = field.energy[..., 0]
    count, frequencies = energy.shape
    if count < SEGMENTS or float(energy.sum()) <= MIN_ENERGY * count:
        return None
    edges = (LOWEST * (CUTOFF / LOWEST) ** (torch.arange(BANDS + 1) / BANDS) / field.step).long().clamp(max=frequencies)
    times = torch.arange(SEGMENTS + 1) * count // SEGMENTS
    total = torch.nn.functional.pad(energy.cumsum(0).cumsum(1), (1, 0, 1, 0))
    corners = total[times][:, edges]
    sums = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    levels = (sums.clamp(min=0) + FLOOR * sums.mean()).log()
    return _words(levels.diff(dim=0).diff(dim=1) > 0)


def picture_print(grey: Tensor) -> list[int] | None:
    """Computes the fingerprint of a picture: where it gets brighter from left to right.

    Args:
        grey: [H, W], levels of 255.

    Returns:
        Four words of 32 bits; None for a picture of nearly one colour.
    """
    small = torch.nn.functional.adaptive_avg_pool2d(grey[None], (ROWS, COLUMNS))[0]
    if float(small.std(correction=0)) < MIN_CONTRAST:
        return None
    return _words(small.roll(-1, dims=1) > small)


def _words(bits: Tensor) -> list[int]:
    """Packs BITS bits into words."""
    powers = 2 ** torch.arange(WORD)
    return [int(word) for word in (bits.flatten().unflatten(0, (-1, WORD)) * powers).sum(1)]
