"""Deterministic float64 training runs on several ranks, whose weights can be compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from avsa_fast.config import Config
from avsa_fast.data.samples import Collection
from avsa_fast.models import Model
from avsa_fast.train.loop import Trainer
from avsa_fast.train.ranks import Ranks


@contextmanager
def exact() -> Iterator[None]:
    """Runs networks in float64, with frozen BatchNorm and without dropout, whose masks would differ between ranks."""
    with pytest.MonkeyPatch.context() as patch:
        train, forward = Model.train, Model.forward
        patch.setattr(Model, "train", lambda self, mode=True: train(self, False))
        patch.setattr(Model, "forward", lambda self, crops, features: forward(self, crops.double(), features.double()))
        yield


def trained(config: Config, folder: Path, ranks: Ranks) -> dict[str, torch.Tensor]:
    folder.mkdir(exist_ok=True)
    collection = Collection(Path(config.data), config.samples.crops)
    with exact():
        trainer = Trainer(config, collection, folder, torch.device("cpu"), 0, ranks)
        trainer.model.double()
        trainer.objective.double()
        trainer.train(resume=False)
    return trainer.objective.state_dict()


def rank_of_two(rank: int, store: Path, config: Config, folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    dist.init_process_group("gloo", f"file://{store}", world_size=2, rank=rank)
    weights = trained(config, folder, Ranks(rank, 2, dist.group.WORLD))
    torch.save(weights, folder / f"rank{rank}.pt")
    dist.destroy_process_group()
