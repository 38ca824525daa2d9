"""Analysis of recordings: validity as ambisonic sound, directions of arrival, silent channels."""

from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from avsa_fast.data.field import CUTOFF, Field, field_of
from avsa_fast.spatial.harmonics import unit_vectors

MAX_SILENCE = 1e-10  # maximum mean square of silence
SILENT_CHANNEL = 1e-4  # maximum peak of a silent channel, relative to the loudest channel's peak
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

    Args:
        scene: [4, T], channels W, Y, Z, X.
        rate: Sample rate in Hz.
        window: Window length in seconds; windows do not overlap.

    Returns:
        Directions [n, 2] and dominance [n], as by `directions_in`.
    """
    return directions_in(field_of(scene, rate, window))


def directions_in(field: Field) -> tuple[Tensor, Tensor]:
    """Estimates the direction of arrival per window of a field.

    The intensity vector 2 · Re(W* · (X, Y, Z)) / (E_w + E_xyz) of each frequency is the direction of a plane wave, and
    shorter in a diffuse field (DirAC, Pulkki 2007). A window's estimate is the mean over frequencies, weighted by the
    fourth root of the energy, roughly the perceived loudness: with steady tones, interference in the room shifts the
    direction differently at each frequency, so a single strong partial must not decide the result.

    Args:
        field: Statistics of the scene.

    Returns:
        Azimuth and elevation in radians, float64 [n, 2], and the length of the mean vector, float64 [n]: 1 for one
        plane wave, near 0 for a diffuse field or silence.
    """
    flow = field.covariance[:, :, 0, [3, 1, 2]]
    energy = field.energy.sum(-1, keepdim=True) + 1e-12
    loudness = energy**0.25
    mean = (loudness * 2 * flow / energy).sum(1) / loudness.sum(1)
    azimuth = torch.atan2(mean[:, 1], mean[:, 0])
    elevation = torch.atan2(mean[:, 2], mean[:, :2].norm(dim=1))
    return torch.stack([azimuth, elevation], dim=1), mean.norm(dim=1)


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


def arrivals(directions: Tensor, dominance: Tensor) -> Arrivals:
    """Summarises the directions of arrival of a recording.

    Args:
        directions: Azimuth and elevation [n, 2] of each window, radians, from `directions_in`.
        dominance: Lengths [n] of the windows' mean vectors.

    Returns:
        Share, mean direction and spread of the windows in which one direction dominates.
    """
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
