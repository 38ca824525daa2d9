"""The pretext tasks on known embeddings: learnable structure is learned, and noise is at chance level."""

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


def make_pairs(kind: Literal["class", "rotation", "noise"], clips: int = 48, moments: int = 2) -> Pairs:
    """Embeddings with 8 clusters ("class"), with a component that depends on the rotation ("rotation"), or of noise."""
    count = clips * moments
    video, audio, rotated = (torch.randn(count, 4, E) for _ in range(3))
    if kind == "class":
        codes = torch.randn(2, 8, 1, E, generator=torch.Generator().manual_seed(0))
        label = torch.arange(count) % 8
        video, audio = codes[0, label] + 0.3 * video, codes[1, label] + 0.3 * audio
    if kind == "rotation":
        rotated[..., 0] += 6
    names = [f"clip{i % clips}" for i in range(count)]
    return Pairs(names, [i // clips for i in range(count)], video, audio, rotated)


def contains(metric: dict, value: float) -> bool:
    """Whether the metric's interval contains a value."""
    return metric["low"] <= value <= metric["high"]


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Fixes the seed, because a 95 % interval occasionally misses chance."""
    torch.manual_seed(1)


def test_encoders_of_different_widths() -> None:
    train, test = (
        replace(pairs, audio=pairs.audio[..., : E // 2]) for pairs in (make_pairs("class"), make_pairs("class"))
    )
    assert avc_bin(train, test, seed=0)["value"] > 0.8


def test_learnable_structure_is_learned() -> None:
    correspondence = avc_bin(make_pairs("class"), make_pairs("class"), seed=0)
    assert correspondence["value"] > 0.8  # one in eight unmatched pairs has the same class
    assert correspondence["chance"] == 0.5
    assert correspondence["n"] == 2 * 96
    assert avsa_bin(make_pairs("rotation"), make_pairs("rotation"), seed=0)["value"] > 0.95


@pytest.mark.parametrize("control", ["none", "shuffled labels", "sound alone"])
def test_noise_is_at_chance_level(control: str) -> None:
    noise = make_pairs("noise")
    for metric in (
        avc_bin(noise, make_pairs("noise"), seed=0, control=control),
        avsa_bin(noise, make_pairs("noise"), seed=0, control=control),
    ):
        assert abs(metric["value"] - 0.5) < 0.1


@pytest.mark.parametrize("control", ["shuffled labels", "sound alone"])
def test_avc_controls_are_at_chance_level(control: str) -> None:
    train, test = make_pairs("class"), make_pairs("class")
    accuracy = avc_bin(train, test, seed=0, control=control)["value"]
    assert abs(accuracy - 0.5) < 0.1
    assert avc_bin(train, test, seed=0)["value"] > accuracy + 0.25


def test_sound_alone_control_detects_rotation_cue() -> None:
    assert avsa_bin(make_pairs("rotation"), make_pairs("rotation"), seed=0, control="sound alone")["value"] > 0.95


def test_same_seed_gives_same_metric() -> None:
    train, test = make_pairs("class", clips=8), make_pairs("class", clips=8)
    assert avc_bin(train, test, seed=3) == avc_bin(train, test, seed=3)


class DotProductRun(Run):
    """Run whose similarity and alignment are dot products of the embeddings."""

    def similarity(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nkp,mkp->nmk", video, audio)

    def alignment(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nip,njp->nij", video, audio)


def test_matching_and_retrieval(run: Run) -> None:
    dot = DotProductRun(run.folder, run.config, run.model, run.device)
    noise = make_pairs("noise", clips=20, moments=4)
    perfect = replace(noise, audio=noise.video)
    assert avc_matching(dot, perfect)["value"] == 1
    assert avsa_matching(dot, perfect)["value"] == 1
    metrics = retrieval(dot, perfect)
    assert metrics["video_to_audio_recall_at_1"]["value"] == 1
    assert metrics["audio_to_video_median_rank"] == {"value": 1, "low": 1, "high": 1, "chance": 10.5, "n": 80}
    assert metrics["video_to_audio_recall_at_5"]["chance"] == 5 / 20

    by_chance = retrieval(dot, noise)
    assert contains(by_chance["video_to_audio_recall_at_5"], 5 / 20)
    assert contains(avc_matching(dot, noise), 1 / 16)
    assert contains(avsa_matching(dot, noise), 1 / 4)

    equal = replace(noise, video=torch.ones(80, 4, E), audio=torch.ones(80, 4, E))
    assert avsa_matching(dot, equal)["value"] == 0
    assert retrieval(dot, equal)["video_to_audio_median_rank"]["value"] == 20


def test_untrained_matching_is_at_chance_level(run: Run) -> None:
    noise = make_pairs("noise", clips=64)
    assert contains(avc_matching(run, noise), 1 / 16)
    assert contains(avsa_matching(run, noise), 1 / 4)


def test_pairs_of_each_split(run: Run) -> None:
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


def test_single_clip_is_refused() -> None:
    with pytest.raises(UserError, match="the only clip"):
        avc_bin(make_pairs("noise", clips=1), make_pairs("noise", clips=1), seed=0)


def test_negative_pairs_are_from_other_clips(rng: np.random.Generator) -> None:
    pairs = make_pairs("noise", clips=3)
    audio = torch.arange(12.0)[:, None, None].expand(12, 4, E)
    others = _other_clips(replace(pairs, audio=audio), rng)[:, 0, 0].long()
    assert all(pairs.clips[i] != pairs.clips[int(other)] for i, other in enumerate(others))
