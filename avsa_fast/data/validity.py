"""Checks on a recording: is it really ambisonic, where does its sound come from, which channels are silent?"""

import torch
from scipy.fft import next_fast_len
from torch import Tensor

CUTOFF = 4000.0  # Hz: microphone arrays alias above
SILENCE = 1e-10  # mean square
SILENT_CHANNEL = 1e-4  # peak, relative to the loudest channel's


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

    The direction of the mean intensity W · (X, Y, Z): [n, 2] azimuth and elevation; and how much one direction
    dominates, [n]: 2 ‖intensity‖ / (E_w + E_xyz), 1 for one plane wave, near 0 for a diffuse field or silence. float64.
    """
    samples = max(1, round(window * rate))
    if scene.shape[1] < samples:
        return scene.new_empty((0, 2), dtype=torch.float64), scene.new_empty(0, dtype=torch.float64)
    spectrum, length = _low_spectrum(scene, rate)
    low = torch.fft.irfft(spectrum, length)[:, : scene.shape[1]].double()
    w, y, z, x = low.unfold(1, samples, samples)  # [n, samples] each
    flow = torch.stack([(w * v).sum(1) for v in (x, y, z)], dim=1)  # [n, 3]
    energy = (w.square() + y.square() + z.square() + x.square()).sum(1)
    share = 2 * torch.linalg.vector_norm(flow, dim=1) / (energy + 1e-12 * samples)
    azimuth = torch.atan2(flow[:, 1], flow[:, 0])
    return torch.stack([azimuth, torch.atan2(flow[:, 2], flow[:, :2].norm(dim=1))], dim=1), share


def _low_spectrum(scene: Tensor, rate: int) -> tuple[Tensor, int]:
    """The spectrum of [C, T] below the cutoff, padded to a length that transforms fast, and that length."""
    length = next_fast_len(scene.shape[1], real=True)
    return torch.fft.rfft(scene, length)[:, : int(CUTOFF / rate * length) + 1], length
