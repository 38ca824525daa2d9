"""Matching accuracies are correct for known embeddings."""

import pytest
import torch

from avsa_fast.models import Embeddings
from avsa_fast.train.matching import avc_matches, avsa_matches, matching_accuracy


def embeddings(video: torch.Tensor, audio: torch.Tensor) -> Embeddings:
    return Embeddings(video, audio, video, audio)


def test_avc_matching_uses_cosine_similarity() -> None:
    video = torch.randn(16, 1, 32)
    assert avc_matches(embeddings(video, 3 * video + 0.01 * torch.randn_like(video))).all()
    assert not avc_matches(embeddings(video, video.roll(1, 0))).any()


def test_equal_embeddings_do_not_match() -> None:
    same = torch.ones(16, 1, 32)
    assert avc_matches(embeddings(same, same)).sum() == 0


def test_random_embeddings_match_at_chance_level() -> None:
    torch.manual_seed(0)
    hits = torch.cat([avc_matches(embeddings(torch.randn(16, 1, 32), torch.randn(16, 1, 32))) for _ in range(200)])
    assert matching_accuracy(hits, 16)["value"] == pytest.approx(1 / 16, abs=0.02)


def echoed(video: torch.Tensor, audio: torch.Tensor) -> tuple[Embeddings, tuple[torch.Tensor, torch.Tensor]]:
    """Embeddings, with each modality's predictions equal to the other modality's projections."""
    return embeddings(video, audio), (audio, video)


def test_avsa_matching_is_within_a_sample() -> None:
    crops = torch.randn(5, 4, 32)
    assert avsa_matches(*echoed(crops, crops)).shape == (5, 4)
    assert avsa_matches(*echoed(crops, crops)).all()
    swapped = crops[:, [1, 0, 2, 3]]
    assert avsa_matches(*echoed(crops, swapped)).float().mean() == 0.5


def test_matching_accuracy_counts_choices() -> None:
    hits = torch.tensor([True, False, False, True])
    assert matching_accuracy(hits, 4) == {"value": 0.5, "chance": 0.25, "n": 4}
