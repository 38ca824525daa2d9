"""Analysis of recordings: validity as ambisonic sound, directions of arrival, silent channels."""

from math import log2
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from avsa_fast.spatial.harmonics import unit_vectors

CUTOFF = 4000.0  # Hz; above it, microphone arrays have spatial aliasing
MAX_SILENCE = 1e-10  # maximum mean square of silence
SILENT_CHANNEL = 1e-4  # maximum peak of a silent channel, relative to the loudest channel's peak
FRAME_SECONDS = 0.0232  # seconds per STFT frame for directions of arrival, approximately
WINDOWS_PER_GROUP = 64  # windows whose spectra are computed at a time, to limit memory
MIN_DOMINANCE = 0.3  # length of a window's mean intensity vector above which one direction dominates


def silent_channels(sound: Tensor) -> list[int]:
    """Returns the numbers of the channels that are silent relative to the loudest one.

    Args:
        sound: [C, T].

    Returns:
        Channel numbers; all of them if the recording is silent.
    """
    peaks = sound.abs().amax(dim=1)
    return torch.nonzero(peaks <= SILENT_CHANNEL * peaks.max()).flatten().tolist()


def spatial_validity(scene: Tensor, rate: int) -> float | None:
    """Computes the energy ratio E_xyz / E_w below 4 kHz.

    A plane wave and a diffuse field in SN3D give 1, mono in W gives 0, N3D about 3, unconverted FuMa about 2. Without
    any W the ratio is infinite.

    Args:
        scene: [4, T], channels W, Y, Z, X.
        rate: Sample rate in Hz.

    Returns:
        The ratio; None for silence.
    """
    spectrum, length = _low_spectrum(scene, rate)
    energy = spectrum.abs().double().square().sum(dim=1)  # [4]
    if 2 * energy.sum() / length <= MAX_SILENCE * scene.shape[1]:
        return None
    return float(energy[1:].sum() / energy[0])


def directions_of_arrival(scene: Tensor, rate: int, window: float = 0.1) -> tuple[Tensor, Tensor]:
    """Estimates the direction of arrival (DOA) of the sound below 4 kHz, per window.

    The intensity vector 2 · Re(W* · (X, Y, Z)) / (E_w + E_xyz) of each frequency is the direction of a plane wave, and
    shorter in a diffuse field (DirAC, Pulkki 2007). A window's estimate is the mean over frequencies, weighted by the
    fourth root of the energy, roughly the perceived loudness: with steady tones, interference in the room shifts the
    direction differently at each frequency, so a single strong partial must not decide the result.

    Args:
        scene: [4, T], channels W, Y, Z, X.
        rate: Sample rate in Hz.
        window: Window length in seconds; windows do not overlap.

    Returns:
        Azimuth and elevation in radians, float64 [n, 2], and the length of the mean vector, float64 [n]: 1 for one
        plane wave, near 0 for a diffuse field or silence.
    """
    samples = max(1, round(window * rate))
    if scene.shape[1] < samples:
        return scene.new_empty((0, 2), dtype=torch.float64), scene.new_empty(0, dtype=torch.float64)
    windows = scene.unfold(1, samples, samples)  # [4, n, samples]
    mean = torch.cat([_mean_intensity(part, rate) for part in windows.split(WINDOWS_PER_GROUP, dim=1)])
    azimuth = torch.atan2(mean[:, 1], mean[:, 0])
    elevation = torch.atan2(mean[:, 2], mean[:, :2].norm(dim=1))
    return torch.stack([azimuth, elevation], dim=1), mean.norm(dim=1)


def _mean_intensity(windows: Tensor, rate: int) -> Tensor:
    """Mean intensity vector x, y, z, float64 [n, 3], of windows [4, n, samples]; see `directions_of_arrival`."""
    samples = windows.shape[2]
    frame = min(samples, 2 ** round(log2(FRAME_SECONDS * rate)))
    spectra = torch.stft(
        windows.flatten(0, 1), frame, max(frame // 2, 1), window=torch.hann_window(frame), center=False,
        return_complex=True,
    )[:, : int(CUTOFF / rate * frame) + 1].to(torch.complex128)  # fmt: skip
    w, y, z, x = spectra.unflatten(0, (4, -1))  # [n, F, frames] each
    flow = torch.stack([(w.conj() * v).real.sum(-1) for v in (x, y, z)], dim=-1)  # [n, F, 3]
    energy = spectra.abs().square().sum(-1).unflatten(0, (4, -1)).sum(0).unsqueeze(-1) + 1e-12  # [n, F, 1]
    loudness = energy**0.25
    return (loudness * 2 * flow / energy).sum(1) / loudness.sum(1)


class Arrivals(NamedTuple):
    """Summary of the windows of a recording in which one direction dominates.

    Attributes:
        share: Share of all windows.
        azimuth: Azimuth of the mean direction, radians; None if there is no such window.
        elevation: Elevation of the mean direction, radians; None if there is no such window.
        spread: Median angle from the mean direction, radians; None if there is no such window.
    """

    share: float
    azimuth: float | None
    elevation: float | None
    spread: float | None


def arrivals(scene: Tensor, rate: int) -> Arrivals:
    """Summarises the directions of arrival of a recording.

    Args:
        scene: [4, T], channels W, Y, Z, X.
        rate: Sample rate in Hz.

    Returns:
        Share, mean direction and spread of the windows of 0.1 s in which one direction dominates.
    """
    directions, dominance = directions_of_arrival(scene, rate)
    vectors = unit_vectors(directions[dominance > MIN_DOMINANCE])
    if not len(vectors):
        return Arrivals(0.0, None, None, None)
    x, y, z = mean = torch.nn.functional.normalize(vectors.mean(0), dim=0)
    spread = (vectors @ mean).clamp(-1, 1).arccos().median()
    elevation = torch.atan2(z, torch.hypot(x, y))
    return Arrivals(len(vectors) / len(dominance), float(torch.atan2(y, x)), float(elevation), float(spread))


def _low_spectrum(scene: Tensor, rate: int) -> tuple[Tensor, int]:
    """Spectrum of [C, T] below the cutoff, zero-padded to a length with a fast FFT, and that length."""
    length = next_fast_len(scene.shape[1], real=True)
    return torch.fft.rfft(scene, length)[:, : int(CUTOFF / rate * length) + 1], length
