"""Training with two processes matches training with one process on all samples."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.ranks import rank_of_two, trained
from helpers.together import together

from avsa_fast.config import Config
from avsa_fast.data.samples import Collection
from avsa_fast.errors import UserError
from avsa_fast.train.loop import Trainer
from avsa_fast.train.ranks import Ranks

STEPS = 20


@pytest.fixture
def exact_config(small: Config) -> Config:
    return replace(
        small, steps=STEPS, samples=replace(small.samples, max_height=32), learn_temperature=True, schedule="cosine",
        held_out_samples=2, evaluate_every=7,
    )  # fmt: skip


@pytest.mark.slow
def test_two_ranks_match_one_process(exact_config: Config, tmp_path: Path) -> None:
    single = trained(exact_config, tmp_path / "single", Ranks())
    together(rank_of_two, 2, (tmp_path / "store", exact_config, tmp_path / "together", 1), "spawn")
    for rank in range(2):
        weights = torch.load(tmp_path / "together" / f"rank{rank}.pt", weights_only=True)
        assert weights.keys() == single.keys()
        for name, value in weights.items():
            torch.testing.assert_close(value, single[name], rtol=0, atol=1e-9, msg=name)
    assert (tmp_path / "together" / "metrics.json").exists()


@pytest.mark.parametrize("chunk", [2, 3])
def test_gradient_cache_does_not_change_weights(exact_config: Config, tmp_path: Path, chunk: int) -> None:
    model = replace(exact_config.model, norm="group", audio_width=8)
    config = replace(exact_config, steps=4, model=model)
    whole = trained(config, tmp_path / "whole", Ranks())
    cached = trained(replace(config, cache_chunk=chunk), tmp_path / "cached", Ranks())
    for name, value in cached.items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=1e-9, msg=name)


def test_batch_not_divisible_by_ranks_is_refused(small: Config, tmp_path: Path) -> None:
    collection = Collection(Path(small.data), small.samples.crops)
    with pytest.raises(UserError, match=r"--batch 8: 8 clips of a step of AVC cannot be divided evenly among 3"):
        Trainer(small, collection, tmp_path, torch.device("cpu"), 0, Ranks(0, 3))
