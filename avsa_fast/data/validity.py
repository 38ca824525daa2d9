"""Checks on a recording: is it really ambisonic, where does its sound come from, which channels are silent?"""

from math import log2
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from avsa_fast.reference.harmonics import unit_vectors

CUTOFF = 4000.0  # Hz: microphone arrays alias above
SILENCE = 1e-10  # mean square
SILENT_CHANNEL = 1e-4  # peak, relative to the loudest channel's
FRAME = 0.0232  # seconds of a spectrum in which directions of arrival are found, about
GROUP = 64  # windows whose spectra are in memory at a time
DOMINATES = 0.3  # the length of a window's mean intensity from which one direction dominates


def silent_channels(sound: Tensor) -> list[int]:
    """Which of a recording's channels [C, T] are silent against its loudest one; all of a silent recording's."""
    peaks = sound.abs().amax(dim=1)
    return torch.nonzero(peaks <= SILENT_CHANNEL * peaks.max()).flatten().tolist()


def spatial_validity(scene: Tensor, rate: int) -> float | None:
    """E_xyz / E_w of W, Y, Z, X [4, T] at `rate` Hz, below 4 kHz; None for silence.

    A plane wave and a diffuse field have 1, mono in W 0, N3D near 3, unconverted FuMa near 2 (infinity: no W at all).
    """
    spectrum, length = _low_spectrum(scene, rate)
    energy = spectrum.abs().double().square().sum(dim=1)  # [4]
    if 2 * energy.sum() / length <= SILENCE * scene.shape[1]:
        return None
    return float(energy[1:].sum() / energy[0])


def directions_of_arrival(scene: Tensor, rate: int, window: float = 0.1) -> tuple[Tensor, Tensor]:
    """Where the sound of W, Y, Z, X [4, T] comes from, window by window (seconds), below 4 kHz.

    In each window, a mean over frequencies of the intensity 2 · Re(W* · (X, Y, Z)) over the energy E_w + E_xyz, which
    is a plane wave's direction and shorter where the field is diffuse (DirAC, Pulkki 2007); they count by the fourth
    root of their energy, about as loud as they sound: of a steady tone, room and instruments interfere to another
    direction at each frequency, and one strong partial must not speak for the window. Returns [n, 2] azimuth and
    elevation, and the mean's length [n], how much one direction dominates: 1 for one plane wave, near 0 for a diffuse
    field or silence. float64.
    """
    samples = max(1, round(window * rate))
    if scene.shape[1] < samples:
        return scene.new_empty((0, 2), dtype=torch.float64), scene.new_empty(0, dtype=torch.float64)
    windows = scene.unfold(1, samples, samples)  # [4, n, samples]
    mean = torch.cat([_mean_intensity(part, rate) for part in windows.split(GROUP, dim=1)])
    azimuth = torch.atan2(mean[:, 1], mean[:, 0])
    elevation = torch.atan2(mean[:, 2], mean[:, :2].norm(dim=1))
    return torch.stack([azimuth, elevation], dim=1), mean.norm(dim=1)


def _mean_intensity(windows: Tensor, rate: int) -> Tensor:
    """X, Y, Z [n, 3] float64 of windows [4, n, samples], as `directions_of_arrival` says."""
    samples = windows.shape[2]
    frame = min(samples, 2 ** round(log2(FRAME * rate)))
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
    """What the windows of a recording in which one direction dominates say of it. Angles in radians."""

    share: float  # of all windows
    azimuth: float | None  # of their mean direction; None where there is no such window
    elevation: float | None
    spread: float | None  # median angle from that direction


def arrivals(scene: Tensor, rate: int) -> Arrivals:
    """A summary of `directions_of_arrival` of W, Y, Z, X [4, T] at `rate` Hz."""
    directions, share = directions_of_arrival(scene, rate)
    vectors = unit_vectors(directions[share > DOMINATES])
    if not len(vectors):
        return Arrivals(0.0, None, None, None)
    x, y, z = mean = torch.nn.functional.normalize(vectors.mean(0), dim=0)
    spread = (vectors @ mean).clamp(-1, 1).arccos().median()
    elevation = torch.atan2(z, torch.hypot(x, y))
    return Arrivals(len(vectors) / len(share), float(torch.atan2(y, x)), float(elevation), float(spread))


def _low_spectrum(scene: Tensor, rate: int) -> tuple[Tensor, int]:
    """The spectrum of [C, T] below the cutoff, padded to a length that transforms fast, and that length."""
    length = next_fast_len(scene.shape[1], real=True)
    return torch.fft.rfft(scene, length)[:, : int(CUTOFF / rate * length) + 1], length
