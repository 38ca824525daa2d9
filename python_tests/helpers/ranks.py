"""Deterministic float64 training runs on several ranks, whose weights can be compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.distributed as dist

from avsa_fast.config import Config, Stage
from avsa_fast.data.samples import Collection
from avsa_fast.models import Model
from avsa_fast.train.build import build_model
from avsa_fast.train.feed import StepInputs
from avsa_fast.train.frozen import measure_statistics
from avsa_fast.train.loop import Trainer
from avsa_fast.train.objective import Objective
from avsa_fast.train.optimiser import StageOptimiser
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


class Step(NamedTuple):
    """What an optimiser step leaves: gradients, and BatchNorm's buffers."""

    gradients: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]


def random_inputs(count: int, views: int = 1) -> StepInputs:
    """Inputs of the same random numbers in every process, in which every two samples are of one recording."""
    generator = torch.Generator().manual_seed(7)
    crops = torch.randn(count, views, 3, 2, 16, 16, dtype=torch.float64, generator=generator)
    features = torch.randn(count, views, 7, 16, 12, dtype=torch.float64, generator=generator)
    return StepInputs(crops, features, [f"r{number // 2}-{number}" for number in range(count)], 0.0, 0.0)


def part_of(inputs: StepInputs, part: slice) -> StepInputs:
    return inputs._replace(crops=inputs.crops[part], features=inputs.features[part], names=inputs.names[part])


def one_step(
    config: Config, stage: Stage, inputs: StepInputs, ranks: Ranks, measured: StepInputs | None = None
) -> Step:
    """An optimiser step in float64 from the initial weights; frozen statistics are those of `measured`."""
    model = build_model(config, torch.device("cpu"), ranks).double().train()
    objective = Objective(model, config, ranks.group).double()
    optimiser = StageOptimiser(objective, config, stage, torch.device("cpu"), ranks)
    if config.batch_norm == "frozen":
        measure_statistics(model, measured or inputs, ranks)
    torch.manual_seed(3)
    optimiser.step(inputs, 0.0)
    gradients = {name: x.grad.clone() for name, x in objective.named_parameters() if x.grad is not None}
    return Step(gradients, {name: x.clone() for name, x in model.named_buffers()})


def steps_of_two(rank: int, store: Path, configs: dict[str, Config], folder: Path) -> None:
    """One AVC step of each configuration, of which this rank has half of the samples."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{store}", world_size=2, rank=rank)
    inputs = part_of(random_inputs(8), slice(4 * rank, 4 * rank + 4))
    ranks = Ranks(rank, 2, dist.group.WORLD)
    done = {name: one_step(config, "avc", inputs, ranks) for name, config in configs.items()}
    torch.save({name: step._asdict() for name, step in done.items()}, folder / f"rank{rank}.pt")
    dist.destroy_process_group()
