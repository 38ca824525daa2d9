"""Where sound arrives from: a map over the ERP frame, sharper than beams of the first order can draw."""

from functools import lru_cache
from math import pi, radians

import torch
from torch import Tensor

from .maps import erp_grid

N_FFT, HOP = 512, 256  # samples
LOW, HIGH = 200.0, 6000.0  # Hz: below, rooms hum; above, microphone arrays alias
WIDTH = radians(8.0)  # of the kernel that smooths the map


def intensity_map(scene: Tensor, sample_rate: int, size: tuple[int, int] = (45, 90)) -> Tensor:
    """The directional energy of W, Y, Z, X [4, T], ACN/SN3D, over an ERP frame: float32 [H, W] in [0, 1], peak 1.

    Each bin of a short-time Fourier transform points along its active intensity Re(W* (X, Y, Z)), and weighs its energy
    times the square of its directness, so that reverberation counts little (after Pulkki, "Spatial sound reproduction
    with directional audio coding", J. Audio Eng. Soc. 2007). The map is the histogram of these directions, smoothed
    over the sphere. Silence is all zeros.
    """
    spectra = torch.stft(scene.double(), N_FFT, HOP, window=torch.hann_window(N_FFT).double(), return_complex=True)
    frequency = torch.fft.rfftfreq(N_FFT, 1 / sample_rate)
    W, Y, Z, X = spectra[:, (frequency >= LOW) & (frequency <= HIGH)].flatten(1)  # [bins * frames] each
    x, y, z = ((W.conj() * axis).real for axis in (X, Y, Z))
    energy = (W.abs().square() + X.abs().square() + Y.abs().square() + Z.abs().square()) / 2
    weight = (x * x + y * y + z * z) / energy.clamp_min(1e-20)  # energy * (length / energy)^2

    height, width = size
    azimuth, elevation = torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))
    column = ((0.5 - azimuth / (2 * pi)) * width).long().clamp(0, width - 1)
    row = ((0.5 - elevation / pi) * height).long().clamp(0, height - 1)
    histogram = torch.bincount(row * width + column, weight, minlength=height * width)
    smooth = _smoothing(size) @ histogram.float()
    return (smooth / smooth.max().clamp_min(1e-12)).reshape(size)


@lru_cache(maxsize=1)
def _smoothing(size: tuple[int, int]) -> Tensor:
    """Weights [G, G] from each direction of a grid to each, by their angle."""
    azimuth, elevation = erp_grid(size).flatten(0, 1).unbind(-1)
    flat = elevation.cos()
    units = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], dim=-1)
    return torch.exp((units @ units.T - 1) / WIDTH**2)


def peak(heat: Tensor) -> tuple[float, float]:
    """Azimuth and elevation, radians, where a map [H, W] over the ERP frame is highest."""
    height, width = heat.shape
    azimuth, elevation = erp_grid((height, width)).flatten(0, 1)[int(heat.argmax())].tolist()
    return azimuth, elevation
