"""Matching accuracies: how often the embeddings identify which sound belongs to which crop."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from avsa_fast.models import Embeddings

CANDIDATES = 16  # maximum number of samples among which AVC matching chooses


def avc_matches(embeddings: Embeddings) -> Tensor:
    """Checks for each sample whether its own audio is the nearest among all samples, by cosine similarity.

    Args:
        embeddings: Embeddings of n samples; only the first crop of each is used.

    Returns:
        bool [n].
    """
    video, audio = embeddings.video_projection[:, 0], embeddings.audio_projection[:, 0]  # [n, P]
    scores = cosine_similarity(video[:, None], audio[None], dim=-1)
    return _diagonal_wins(scores)


def avsa_matches(embeddings: Embeddings, predictions: tuple[Tensor, Tensor]) -> Tensor:
    """Checks for each crop whether its own audio view is the nearest among the sample's K views.

    The score of crop i and audio view j is the cosine similarity of the audio predicted from crop i to view j, plus
    that of the video predicted from view j to crop i.

    Args:
        embeddings: Embeddings of B samples with K crops each.
        predictions: Video and audio projections [B, K, P] from `Model.predictions`.

    Returns:
        bool [B, K].
    """
    video, audio = predictions
    to_audio = cosine_similarity(audio[:, :, None], embeddings.audio_projection[:, None], dim=-1)  # [B, K, K]
    to_video = cosine_similarity(embeddings.video_projection[:, :, None], video[:, None], dim=-1)
    return _diagonal_wins(to_audio + to_video)


def _diagonal_wins(scores: Tensor) -> Tensor:
    """Whether the diagonal is the strict maximum of each row; a tie does not count, so equal embeddings score 0."""
    n = scores.shape[-1]
    own = torch.eye(n, dtype=torch.bool, device=scores.device)
    others = scores.masked_fill(own, -torch.inf).amax(dim=-1)
    return scores.diagonal(dim1=-2, dim2=-1) > others


def matching_accuracy(matches: Tensor, candidates: int) -> dict[str, float | int]:
    """Computes a matching accuracy.

    Args:
        matches: bool, of any shape.
        candidates: Number of candidates per choice.

    Returns:
        "value": accuracy; "chance": accuracy of random choices; "n": number of choices.
    """
    return {"value": matches.float().mean().item(), "chance": 1 / candidates, "n": matches.numel()}
