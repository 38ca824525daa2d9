"""The pretext tasks on known embeddings: learnable structure is learned, and noise stays at chance."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from avsa_fast.data.samples import Collection
from avsa_fast.errors import UserError
from avsa_fast.evaluate.pairs import Pairs, embed_pairs
from avsa_fast.evaluate.pretext import _other_clips, avc_bin, avc_matching, avsa_bin, avsa_matching, retrieval
from avsa_fast.run import Run

E = 64


def known(kind: Literal["class", "place", "noise"], clips: int = 48, moments: int = 2) -> Pairs:
    """Embeddings with 8 clusters ("class"), with a component that depends on rotation ("place"), or of noise."""
    count = clips * moments
    video, audio, rotated = (torch.randn(count, 4, E) for _ in range(3))
    if kind == "class":
        codes = torch.randn(2, 8, 1, E, generator=torch.Generator().manual_seed(0))
        label = torch.arange(count) % 8
        video, audio = codes[0, label] + 0.3 * video, codes[1, label] + 0.3 * audio
    if kind == "place":
        rotated[..., 0] += 6
    names = [f"clip{i % clips}" for i in range(count)]
    return Pairs(names, [i // clips for i in range(count)], video, audio, rotated)


def inside(metric: dict, value: float) -> bool:
    return metric["low"] <= value <= metric["high"]


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    """Fixes the seed, because a 95 % interval occasionally misses chance."""
    torch.manual_seed(1)


def test_what_can_be_learned_is_learned() -> None:
    correspondence = avc_bin(known("class"), known("class"), seed=0)
    assert correspondence["value"] > 0.8  # one in eight unmatched pairs has the same class
    assert correspondence["chance"] == 0.5
    assert correspondence["n"] == 2 * 96
    assert avsa_bin(known("place"), known("place"), seed=0)["value"] > 0.95


@pytest.mark.parametrize("control", ["none", "shuffled labels", "sound alone"])
def test_what_cannot_be_learned_stays_at_chance(control: str) -> None:
    noise = known("noise")
    for found in (
        avc_bin(noise, known("noise"), seed=0, control=control),
        avsa_bin(noise, known("noise"), seed=0, control=control),
    ):
        assert abs(found["value"] - 0.5) < 0.1


@pytest.mark.parametrize("control", ["shuffled labels", "sound alone"])
def test_controls_leak_nothing_where_pictures_and_sounds_correspond(control: str) -> None:
    train, test = known("class"), known("class")
    found = avc_bin(train, test, seed=0, control=control)["value"]
    assert abs(found - 0.5) < 0.1
    assert avc_bin(train, test, seed=0)["value"] > found + 0.25


def test_the_sound_alone_tells_a_turn_that_it_carries() -> None:
    assert avsa_bin(known("place"), known("place"), seed=0, control="sound alone")["value"] > 0.95


def test_same_seed_gives_same_metric() -> None:
    train, test = known("class", clips=8), known("class", clips=8)
    assert avc_bin(train, test, seed=3) == avc_bin(train, test, seed=3)


class Same(Run):
    """Run whose similarity and alignment are dot products of the embeddings."""

    def similarity(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nkp,mkp->nmk", video, audio)

    def alignment(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nip,njp->nij", video, audio)


def test_matching_and_retrieval_know_what_belongs_together(run: Run) -> None:
    same = Same(run.folder, run.config, run.model, run.device)
    noise = known("noise", clips=20, moments=4)
    perfect = replace(noise, audio=noise.video)
    assert avc_matching(same, perfect)["value"] == 1
    assert avsa_matching(same, perfect)["value"] == 1
    metrics = retrieval(same, perfect)
    assert metrics["video_to_audio_recall_at_1"]["value"] == 1
    assert metrics["audio_to_video_median_rank"] == {"value": 1, "low": 1, "high": 1, "chance": 10.5, "n": 80}
    assert metrics["video_to_audio_recall_at_5"]["chance"] == 5 / 20

    by_chance = retrieval(same, noise)
    assert inside(by_chance["video_to_audio_recall_at_5"], 5 / 20)
    assert inside(avc_matching(same, noise), 1 / 16)
    assert inside(avsa_matching(same, noise), 1 / 4)

    flat = replace(noise, video=torch.ones(80, 4, E), audio=torch.ones(80, 4, E))
    assert avsa_matching(same, flat)["value"] == 0
    assert retrieval(same, flat)["video_to_audio_median_rank"]["value"] == 20


def test_untrained_matching_sits_at_chance(run: Run) -> None:
    noise = known("noise", clips=64)
    assert inside(avc_matching(run, noise), 1 / 16)
    assert inside(avsa_matching(run, noise), 1 / 4)


def test_pairs_are_the_samples_of_a_split(run: Run) -> None:
    collection = Collection(Path(run.config.data), "yolo")
    test = embed_pairs(run, collection, "test", moments=3, seed=0, workers=0)
    assert test.clips == ["scene0008-0", "scene0009-0"] * 3
    assert test.moments == [0, 0, 1, 1, 2, 2]
    assert test.video.shape == test.audio.shape == test.rotated_audio.shape == (6, 4, 64)
    assert (test.audio - test.rotated_audio).abs().amax(dim=(1, 2)).min() > 0  # every scene was rotated
    again = embed_pairs(run, collection, "test", moments=3, seed=0, workers=0)
    torch.testing.assert_close(again.rotated_audio, test.rotated_audio)
    train = embed_pairs(run, collection, "train", moments=1, seed=0, workers=0)
    assert len(set(train.clips)) == 8
    assert not set(train.clips) & set(test.clips)


def test_one_clip_alone_has_no_other_sound() -> None:
    with pytest.raises(UserError, match="the only clip"):
        avc_bin(known("noise", clips=1), known("noise", clips=1), seed=0)


def test_negatives_are_of_other_clips(rng: np.random.Generator) -> None:
    pairs = known("noise", clips=3)
    audio = torch.arange(12.0)[:, None, None].expand(12, 4, E)
    others = _other_clips(replace(pairs, audio=audio), rng)[:, 0, 0].long()
    assert all(pairs.clips[i] != pairs.clips[int(other)] for i, other in enumerate(others))
