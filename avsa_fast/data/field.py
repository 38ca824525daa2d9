"""Second-order statistics of a sound field, per window and frequency: what directions and energies follow from."""

from math import log2
from typing import NamedTuple

import torch
from torch import Tensor

CUTOFF = 4000.0  # Hz; above it, microphone arrays have spatial aliasing
FRAME_SECONDS = 0.0232  # seconds per STFT frame, approximately
WINDOWS_PER_GROUP = 64  # windows whose spectra are computed at a time, to limit memory
SPEECH_BAND = 300.0, 3400.0  # Hz


class Field(NamedTuple):
    """Statistics of a scene's C channels below the cutoff, in windows that do not overlap.

    Attributes:
        covariance: Real part of the channels' products, float64 [n, F, C, C], for n windows and F frequencies.
        speech: Energy in the speech band, float64 [n, frames, C], for each STFT frame of a window.
        step: Hz between two frequencies; the first is 0.
        seconds: Seconds per window.
    """

    covariance: Tensor
    speech: Tensor
    step: float
    seconds: float

    @property
    def energy(self) -> Tensor:
        """Energy of each channel, float64 [n, F, C]."""
        return self.covariance.diagonal(dim1=2, dim2=3)

    def between(self, low: float, high: float = CUTOFF) -> Tensor:
        """Covariance [n, f, C, C] of the frequencies above `low` and up to `high` Hz."""
        return self.covariance[:, int(low / self.step) + 1 : int(high / self.step) + 1]


def field_of(scene: Tensor, rate: int, window: float = 0.1) -> Field:
    """Computes the statistics of a scene.

    Args:
        scene: [C, T], channels W, Y, Z, X, or W alone.
        rate: Sample rate in Hz.
        window: Seconds per window; what is left at the end is not used.

    Returns:
        The statistics, without windows if the scene is shorter than one.
    """
    samples = max(1, round(window * rate))
    frame = min(samples, 2 ** round(log2(FRAME_SECONDS * rate)))
    step = rate / frame
    if scene.shape[1] < samples:
        empty = torch.zeros((0, 1, len(scene), len(scene)), dtype=torch.float64)
        return Field(empty, empty[..., 0], step, window)
    windows = scene.unfold(1, samples, samples)  # [C, n, samples]
    parts = [_statistics(part, frame, step) for part in windows.split(WINDOWS_PER_GROUP, dim=1)]
    covariance, speech = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return Field(covariance, speech, step, window)


def _statistics(windows: Tensor, frame: int, step: float) -> tuple[Tensor, Tensor]:
    """Covariance [n, F, C, C] and energy in the speech band [n, frames, C] of windows [C, n, samples]."""
    spectra = torch.stft(
        windows.flatten(0, 1), frame, max(frame // 2, 1), window=torch.hann_window(frame), center=False,
        return_complex=True,
    )[:, : int(CUTOFF / step) + 1].unflatten(0, (len(windows), -1))  # fmt: skip
    parts = torch.view_as_real(spectra).double().permute(1, 2, 0, 3, 4)  # [n, F, 4, frames, 2]
    rows = parts.flatten(3)
    low, high = (int(hertz / step) + 1 for hertz in SPEECH_BAND)
    speech = parts[:, low:high].square().sum((1, 4)).transpose(1, 2)
    return rows @ rows.transpose(2, 3), speech
