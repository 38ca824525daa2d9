"""SpecAugment (Park et al. 2019): a band of mel frequencies and a span of time of each sound view are masked."""

import torch
from torch import Tensor


def masked(features: Tensor, masks: Tensor) -> Tensor:
    """Replaces masked mel bands and frames by their channel's mean over the view.

    Args:
        features: float32 [B, K, channels, n_mels, n_frames].
        masks: float32 [B, K, 4], begin and end of the masked mel bands and of the masked time, as shares of the whole.

    Returns:
        float32 [B, K, channels, n_mels, n_frames].
    """
    bands, frames = features.shape[-2:]
    low, high, begin, end = masks[..., None].unbind(2)  # [B, K, 1] each
    band, time = (torch.arange(n, device=features.device) + 0.5 for n in (bands, frames))
    in_band = (band >= low * bands) & (band < high * bands)  # [B, K, n_mels]
    in_time = (time >= begin * frames) & (time < end * frames)
    hidden = in_band[..., :, None] | in_time[..., None, :]
    return torch.where(hidden[:, :, None], features.mean(dim=(-2, -1), keepdim=True), features)
