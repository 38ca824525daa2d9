"""Matching accuracies on held-out samples: can the embeddings tell which sound belongs to which picture?"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from avsa_fast.models import Embeddings

CANDIDATES = 16


def avc_matches(embeddings: Embeddings) -> Tensor:
    """For each of n samples of one crop, whether its own sound is the nearest of the n: bool [n]."""
    video, audio = embeddings.video_projection[:, 0], embeddings.audio_projection[:, 0]  # [n, P]
    scores = cosine_similarity(video[:, None], audio[None], dim=-1)
    return _diagonal_wins(scores)


def avsa_matches(embeddings: Embeddings, predictions: tuple[Tensor, Tensor]) -> Tensor:
    """For each crop of each sample, whether its own sound view is the nearest of the sample's K: bool [B, K].

    Crop i and view j are as near as the sound predicted for crop i is to view j, plus the video predicted for view j to
    crop i.
    """
    video, audio = predictions
    to_audio = cosine_similarity(audio[:, :, None], embeddings.audio_projection[:, None], dim=-1)  # [B, K, K]
    to_video = cosine_similarity(embeddings.video_projection[:, :, None], video[:, None], dim=-1)
    return _diagonal_wins(to_audio + to_video)


def _diagonal_wins(scores: Tensor) -> Tensor:
    """[..., n, n] -> bool [..., n]; a tie is no win, so that equal embeddings score nothing."""
    n = scores.shape[-1]
    own = torch.eye(n, dtype=torch.bool, device=scores.device)
    others = scores.masked_fill(own, -torch.inf).amax(dim=-1)
    return scores.diagonal(dim1=-2, dim2=-1) > others


def figure(matches: Tensor, candidates: int) -> dict[str, float | int]:
    """An accuracy beside its chance; n choices were made among the candidates."""
    return {"value": matches.float().mean().item(), "chance": 1 / candidates, "n": matches.numel()}
