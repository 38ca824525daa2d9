"""Log-mel and spatial features in plain PyTorch: the definition that the kernels are tested against."""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsa_fast.spatial.mel import band_features, mel_bank, spatial_of_view, stft

from .ambisonics import beamform, rotate


def spatial_features(
    signals: Tensor,
    directions: Tensor | None = None,
    *,
    view: str = "rotate",
    spatial: str | None = "iv",
    variant: str = "wang2022",
    pattern: str | Sequence[float] = "cardioid",
    roll: Tensor | None = None,
    flip: Tensor | None = None,
    sample_rate: int = 24000,
    n_fft: int = 512,
    hop_length: int = 240,
    n_mels: int = 64,
) -> Tensor:
    """Computes log-mel and spatial features of K views of a scene, or of the scene as it is.

    Args:
        signals: [..., C, T].
        directions: None, [..., K, 2] radians, or moving [..., K, P, 2].
        view: "rotate", "stereo", "beamform" or "mono".
        spatial: "iv", "icf" or None.
        variant: A name of spatial.mel.VARIANTS.
        pattern: Beam pattern of the view "beamform".
        roll: None, [..., K] or moving [..., K, P] radians.
        flip: None or bool [..., K].
        sample_rate: Samples per second.
        n_fft: Samples per frame.
        hop_length: Samples from one frame to the next.
        n_mels: Number of mel bands.

    Returns:
        [..., K, channels, n_mels, n_frames], without K if there are no directions.
    """
    views = view_signals(signals, directions, view, pattern, roll, flip)
    window = torch.hann_window(n_fft, dtype=signals.dtype, device=signals.device)  # periodic
    bank = torch.from_numpy(mel_bank(sample_rate, n_fft, n_mels)).to(signals)
    return band_features(stft(views, window, hop_length), bank, spatial_of_view(view, spatial), variant)


def view_signals(
    signals: Tensor,
    directions: Tensor | None,
    view: str,
    pattern: str | Sequence[float],
    roll: Tensor | None,
    flip: Tensor | None,
) -> Tensor:
    """Channels of each view: signals [..., C, T] -> [..., K, M, T], without K if there are no directions."""
    if view == "beamform":
        assert directions is not None
        return beamform(signals, directions, pattern).unsqueeze(-2)
    if view == "mono":
        w = signals[..., :1, :]
        K = () if directions is None else directions.shape[signals.ndim - 2 : signals.ndim - 1]
        return w.unsqueeze(-3).expand(*signals.shape[:-2], *K, 1, -1) if K else w
    if view == "stereo" and signals.shape[-2] == 2:
        return signals
    signals = signals[..., :4, :]
    rotated = signals if directions is None else rotate(signals, directions, roll=roll, flip=flip)
    if view == "rotate":
        return rotated
    w, y = rotated[..., 0, :], rotated[..., 1, :]
    return torch.stack([(w + y) / 2, (w - y) / 2], dim=-2)
