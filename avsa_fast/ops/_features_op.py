"""The operation behind spatial_features, and the tables that it takes."""

from functools import lru_cache
from math import pi
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsa_fast.spatial.mel import VARIANTS, band_features, mel_bank, stft

from . import _checks
from ._dispatch import _C, gradients, register, run


class _Tables(NamedTuple):
    """Tables for the spectra of frames and their mel bands, on one device."""

    window: Tensor  # [n_fft], as all but `first` float64
    roots: Tensor  # [n_fft, 2]: real and imaginary parts of exp(-2 pi i j / n_fft)
    bank: Tensor  # [n_fft / 2 + 1, n_mels]
    first: Tensor  # [n_mels + 2] int64: the first bin whose highest band is n or above


@lru_cache(maxsize=16)
def _tables(sample_rate: int, n_fft: int, n_mels: int, device: torch.device) -> _Tables:
    """Raises ValueError if a band is so narrow that it contains no bin."""
    bank = mel_bank(sample_rate, n_fft, n_mels)
    if not bank.any(axis=0).all():
        raise ValueError(
            f"n_mels = {n_mels} leaves bands without a bin of n_fft = {n_fft}: lower n_mels or raise n_fft"
        )
    highest = np.maximum.accumulate(np.where(bank > 0, np.arange(n_mels), 0).max(axis=1))
    first = np.searchsorted(highest, np.arange(n_mels + 2))
    angles = 2 * pi / n_fft * np.arange(n_fft)
    roots = np.stack([np.cos(angles), -np.sin(angles)], axis=-1)
    window = (1 - np.cos(angles)) / 2  # Hann's, periodic
    with torch.inference_mode(False):  # they stay, and may be used in training
        return _Tables(*(torch.from_numpy(table).to(device) for table in (window, roots, bank, first)))


def _window_and_bank(like: Tensor, sample_rate: int, n_fft: int, n_mels: int) -> tuple[Tensor, Tensor]:
    tables = _tables(sample_rate, n_fft, n_mels, like.device)
    return tables.window.clone(), tables.bank.clone()  # compiled code may write into an operation's outputs


def _window_and_bank_fake(like: Tensor, n_fft: int, n_mels: int, **_: Any) -> tuple[Tensor, Tensor]:
    shapes = (n_fft,), (n_fft // 2 + 1, n_mels)
    window, bank = (like.new_empty(shape, dtype=torch.float64) for shape in shapes)
    return window, bank


def _spatial_features(
    signals: Tensor,
    matrix: Tensor,
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    hop: int,
    spatial: str | None,
    variant: str,
) -> Tensor:
    tables = _tables(sample_rate, n_fft, n_mels, signals.device)
    out = _spatial_features_fake(signals, matrix, n_fft, n_mels, hop, spatial)
    signals = signals.contiguous()
    workspace = _C.spatial_features_workspace_size(signals=signals, n_fft=n_fft, hop=hop)
    invalid = run(
        _C.spatial_features,
        signals.device,
        signals=signals,
        matrix=matrix.contiguous(),
        **tables._asdict(),
        hop=hop,
        spatial=spatial,
        intensity=VARIANTS[variant],
        workspace=signals.new_empty(workspace, dtype=torch.uint8),
        out=out,
    )
    if invalid:
        raise _checks.not_finite("signals")
    return out


def _spatial_features_fake(
    signals: Tensor, matrix: Tensor, n_fft: int, n_mels: int, hop: int, spatial: str | None, **_: Any
) -> Tensor:
    *views, M = matrix.shape[:-1]
    channels, frames = M + (0 if spatial is None else 3), 1 + (signals.shape[-1] - n_fft) // hop
    return signals.new_empty(*views, channels, n_mels, frames)


def _spatial_features_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.hop, ctx.spatial, ctx.variant = inputs.hop, inputs.spatial, inputs.variant
    ctx.tables = inputs.sample_rate, inputs.n_fft, inputs.n_mels
    ctx.save_for_backward(inputs.signals, inputs.matrix)


def _spatial_features_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    signals, matrix = ctx.saved_tensors
    window, bank = window_and_bank(signals.detach(), *ctx.tables)

    def features(signals: Tensor, matrix: Tensor) -> Tensor:
        scene = stft(signals.double(), window, ctx.hop)  # [..., C, F, J]
        views = torch.einsum("...kmc,...cfj->...kmfj", matrix.to(scene.dtype), scene)
        return band_features(views, bank, ctx.spatial, ctx.variant)

    return gradients(features, {"signals": signals, "matrix": matrix}, ctx.needs_grad, grad.double())


# Hann's window [n_fft] and the mel bank [n_fft / 2 + 1, n_mels], float64, on the device of `like`.
window_and_bank = register(_window_and_bank, _window_and_bank_fake)

# Features [..., K, channels, n_mels, n_frames] of signals [..., C, T] mixed into views by matrix [..., K, M, C].
spatial_features = register(
    _spatial_features, _spatial_features_fake, _spatial_features_setup, _spatial_features_backward
)
