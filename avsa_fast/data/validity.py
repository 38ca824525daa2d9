"""Is a recording really ambisonic? The ratio of its directional energy to its omnidirectional energy."""

import torch
from scipy.fft import next_fast_len

CUTOFF = 4000.0  # Hz: microphone arrays alias above
SILENCE = 1e-10  # mean square


def spatial_validity(scene: torch.Tensor, rate: int) -> float | None:
    """E_xyz / E_w of W, Y, Z, X [4, T] at `rate` Hz, below 4 kHz; None for silence.

    A plane wave and a diffuse field have 1, mono in W 0, N3D near 3, unconverted FuMa near 2 (infinity: no W at all).
    """
    length = next_fast_len(scene.shape[1], real=True)
    below = int(CUTOFF / rate * length) + 1
    spectrum = torch.fft.rfft(scene, length)[:, :below]
    energy = spectrum.abs().double().square().sum(dim=1)  # [4]
    if 2 * energy.sum() / length <= SILENCE * scene.shape[1]:
        return None
    return float(energy[1:].sum() / energy[0])
