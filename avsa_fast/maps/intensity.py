"""Map of the sound energy that arrives from each direction, sharper than first-order beamforming."""

from functools import lru_cache
from math import pi, radians

import torch
from torch import Tensor

from .grid import erp_grid

N_FFT, HOP = 512, 256  # samples
LOW, HIGH = 200.0, 6000.0  # Hz: excludes room hum below and spatial aliasing of microphone arrays above
WIDTH = radians(8.0)  # angular width of the smoothing kernel


def intensity_map(scene: Tensor, sample_rate: int, size: tuple[int, int] = (45, 90)) -> Tensor:
    """Computes the distribution of directional sound energy over the ERP frame.

    The direction of each STFT bin is that of its active intensity Re(W* (X, Y, Z)). Its weight is its energy times
    the squared ratio of intensity to energy, which suppresses reverberation. After Pulkki, "Spatial sound
    reproduction with directional audio coding", J. Audio Eng. Soc. 2007. The map is the histogram of these
    directions, smoothed over the sphere.

    Args:
        scene: float32 [4, T], W, Y, Z, X (ACN, SN3D).
        sample_rate: Sample rate in Hz.
        size: H and W of the map.

    Returns:
        float32 [H, W] in [0, 1], maximum 1; all zeros for silence.
    """
    spectra = torch.stft(scene.double(), N_FFT, HOP, window=torch.hann_window(N_FFT).double(), return_complex=True)
    frequency = torch.fft.rfftfreq(N_FFT, 1 / sample_rate)
    W, Y, Z, X = spectra[:, (frequency >= LOW) & (frequency <= HIGH)].flatten(1)  # [bins * frames] each
    x, y, z = ((W.conj() * axis).real for axis in (X, Y, Z))
    energy = (W.abs().square() + X.abs().square() + Y.abs().square() + Z.abs().square()) / 2
    weight = (x * x + y * y + z * z) / energy.clamp_min(1e-20)  # energy * (|intensity| / energy)^2

    height, width = size
    azimuth, elevation = torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))
    column = ((0.5 - azimuth / (2 * pi)) * width).long().clamp(0, width - 1)
    row = ((0.5 - elevation / pi) * height).long().clamp(0, height - 1)
    histogram = torch.bincount(row * width + column, weight, minlength=height * width)
    smooth = _smoothing(size) @ histogram.float()
    return (smooth / smooth.max().clamp_min(1e-12)).reshape(size)


@lru_cache(maxsize=1)
def _smoothing(size: tuple[int, int]) -> Tensor:
    """Smoothing weights [G, G] between the G directions of a grid, by angular distance."""
    azimuth, elevation = erp_grid(size).flatten(0, 1).unbind(-1)
    level = elevation.cos()
    units = torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()], dim=-1)
    return torch.exp((units @ units.T - 1) / WIDTH**2)
