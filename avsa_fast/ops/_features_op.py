"""The operation behind spatial_features, and the tables that it takes."""

from functools import lru_cache
from math import pi
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avsa_fast.spatial.mel import VARIANTS, band_features, mel_bank, stft

from . import _checks
from ._dispatch import _C, gradients, register, run


class Analysis(NamedTuple):
    """Tables for the spectra of frames and their mel bands, on one device."""

    window: Tensor  # [n_fft], as all but `first` float64
    roots: Tensor  # [n_fft, 2]: real and imaginary parts of exp(-2 pi i j / n_fft)
    bank: Tensor  # [n_fft / 2 + 1, n_mels]
    first: Tensor  # [n_mels + 2] int64: the first bin whose highest band is n or above


# Evaluated while torch.compile traces, which cannot follow branches on values in torchaudio.
@torch.compiler.assume_constant_result
def analysis(sample_rate: int, n_fft: int, n_mels: int, device: torch.device) -> Analysis:
    return _cached_analysis(sample_rate, n_fft, n_mels, device)


@lru_cache(maxsize=16)
def _cached_analysis(sample_rate: int, n_fft: int, n_mels: int, device: torch.device) -> Analysis:
    """Raises ValueError if a band is so narrow that it contains no bin."""
    bank = mel_bank(sample_rate, n_fft, n_mels)
    if not bank.any(dim=0).all():
        raise ValueError(
            f"n_mels = {n_mels} leaves bands without a bin of n_fft = {n_fft}: lower n_mels or raise n_fft"
        )
    bands = torch.arange(n_mels)
    highest = torch.where(bank > 0, bands, 0).amax(dim=1).cummax(dim=0).values
    first = torch.searchsorted(highest, torch.arange(n_mels + 2))
    window = torch.hann_window(n_fft, dtype=torch.float64)
    angles = torch.arange(n_fft, dtype=torch.float64) * (-2 * pi / n_fft)
    roots = torch.stack([angles.cos(), angles.sin()], dim=-1)
    return Analysis(*(table.to(device) for table in (window, roots, bank.double(), first)))


def _spatial_features(
    signals: Tensor,
    matrix: Tensor,
    window: Tensor,
    roots: Tensor,
    bank: Tensor,
    first: Tensor,
    hop: int,
    spatial: str | None,
    variant: str,
) -> Tensor:
    out = _spatial_features_fake(signals, matrix, window, bank, hop, spatial)
    signals = signals.contiguous()
    workspace = _C.spatial_features_workspace_size(signals=signals, n_fft=len(window), hop=hop)
    invalid = run(
        _C.spatial_features,
        signals.device,
        signals=signals,
        matrix=matrix.contiguous(),
        window=window,
        roots=roots,
        bank=bank,
        first=first,
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
    signals: Tensor, matrix: Tensor, window: Tensor, bank: Tensor, hop: int, spatial: str | None, **_: Any
) -> Tensor:
    *views, M = matrix.shape[:-1]
    channels, frames = M + (0 if spatial is None else 3), 1 + (signals.shape[-1] - window.shape[0]) // hop
    return signals.new_empty(*views, channels, bank.shape[1], frames)


def _spatial_features_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.hop, ctx.spatial, ctx.variant = inputs.hop, inputs.spatial, inputs.variant
    ctx.save_for_backward(inputs.signals, inputs.matrix, inputs.window, inputs.bank)


def _spatial_features_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    signals, matrix, window, bank = ctx.saved_tensors

    def features(signals: Tensor, matrix: Tensor) -> Tensor:
        scene = stft(signals.double(), window, ctx.hop)  # [..., C, F, J]
        views = torch.einsum("...kmc,...cfj->...kmfj", matrix.to(scene.dtype), scene)
        return band_features(views, bank, ctx.spatial, ctx.variant)

    return gradients(features, {"signals": signals, "matrix": matrix}, ctx.needs_grad, grad.double())


# Features [..., K, channels, n_mels, n_frames] of signals [..., C, T] mixed into views by matrix [..., K, M, C].
spatial_features = register(
    _spatial_features, _spatial_features_fake, _spatial_features_setup, _spatial_features_backward
)
