"""Log-mel and spatial features of spectra."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Intensity vectors by name: (gain, w, xyz, norm) of gain J / (eps + w |W|² + xyz (|X|²+|Y|²+|Z|²) + norm ‖J‖).
VARIANTS = {
    "wang2022": (2.0, 1.0, 1.0, 0.0),
    "dcase2021": (1.0, 0.5, 0.5, 0.0),
    "dcase2022": (1.0, 1.0, 1 / 3, 0.0),
    "unit": (1.0, 0.0, 0.0, 1.0),
}


def spatial_of_view(view: str, spatial: str | None) -> str | None:
    """Spatial features that a view has: "iv", the default, needs X, Y, Z, which only the view "rotate" has."""
    return None if spatial == "iv" and view != "rotate" else spatial


def stft(signals: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """Spectra of windowed frames, without padding: [..., T], [n_fft] -> complex [..., n_frames, n_fft / 2 + 1]."""
    frames = signals.unfold(-1, len(window), hop_length) * window
    if frames.numel() == 0:  # MKL refuses an empty batch
        return frames[..., : len(window) // 2 + 1] * 1j
    return torch.fft.rfft(frames)


def mel_bank(sample_rate: int, n_fft: int, n_mels: int) -> NDArray[np.float64]:
    """Slaney's mel weights from 0 to half the sample rate: [n_fft / 2 + 1, n_mels]. Of librosa and torchaudio "slaney".

    Bands are triangles over frequency, of area 1 in Hz, at equal distances in mel. NumPy's array, because torch's would
    depend on the default dtype and device, and on inference mode.
    """
    linear, knee, step = 200 / 3, 1000.0, np.log(6.4) / 27  # Hz per mel below the knee; above, e-folds per mel
    top = sample_rate / 2
    mels = np.linspace(0, top / linear if top < knee else knee / linear + np.log(top / knee) / step, n_mels + 2)
    edges = np.where(mels < knee / linear, mels * linear, knee * np.exp(step * (mels - knee / linear)))
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = np.linspace(0, top, n_fft // 2 + 1)[:, None]
    triangles = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    return np.maximum(triangles, 0) * (2 / (right - left))


def band_features(spectrum: Tensor, bank: Tensor, spatial: str | None, variant: str) -> Tensor:
    """Log-mel, then spatial features: spectra [..., M, n_frames, bins] -> [..., channels, n_mels, n_frames].

    M is 4 (W, Y, Z, X) for spatial "iv", 2 (L, R) for "icf". Bands average spatial features by the mel weights.
    """
    power = spectrum.real.square() + spectrum.imag.square()
    mel = (power @ bank).clamp(min=1e-10).log()
    if spatial is None:
        return mel.mT
    if spatial == "iv":
        bins = intensity_vector(spectrum, power, variant)
    else:
        bins = interchannel_features(spectrum, power)
    return torch.cat([mel, bins @ (bank / bank.sum(0))], dim=-3).mT


def intensity_vector(spectrum: Tensor, power: Tensor, variant: str) -> Tensor:
    """FOA-IV of each bin: [..., 4, n_frames, bins] (W, Y, Z, X) -> [..., 3, n_frames, bins] (X, Y, Z)."""
    gain, w, xyz, norm = VARIANTS[variant]
    intensity = (spectrum[..., :1, :, :].conj() * spectrum[..., [3, 1, 2], :, :]).real
    total = w * power[..., :1, :, :] + xyz * power[..., 1:, :, :].sum(-3, keepdim=True)
    return gain * intensity / (1e-12 + total + norm * torch.linalg.vector_norm(intensity, dim=-3, keepdim=True))


def interchannel_features(spectrum: Tensor, power: Tensor) -> Tensor:
    """ICF of each bin: [..., 2, n_frames, bins] (L, R) -> [..., 3, n_frames, bins].

    Level difference 2 log max(|L|, 1e-8) − 2 log max(|R|, 1e-8), cosine and sine of the phase difference, which is 0
    if a channel is silent.
    """
    left, right = power.clamp(min=1e-16).log().unbind(-3)
    product = spectrum[..., 0, :, :] * spectrum[..., 1, :, :].conj()
    squared = product.real.square() + product.imag.square()
    silent = squared < torch.finfo(squared.dtype).tiny
    length = torch.where(silent, 1, squared).sqrt()
    cosine = torch.where(silent, 1, product.real / length)
    sine = torch.where(silent, 0, product.imag / length)
    return torch.stack([left - right, cosine, sine], dim=-3)
