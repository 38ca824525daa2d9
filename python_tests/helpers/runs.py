"""Complete training runs in this process."""

import json
from pathlib import Path

import torch

from avsa_fast.config import Config, save_config
from avsa_fast.data.samples import Collection
from avsa_fast.train.loop import Trainer


def run(config: Config, folder: Path, *, resume: bool = False, workers: int = 0) -> dict[str, dict[str, float]]:
    folder.mkdir(exist_ok=True)
    save_config(config, folder / "config.yaml")
    collection = Collection(Path(config.data), config.samples.crops)
    return Trainer(config, collection, folder, torch.device("cpu"), workers).train(resume)


def lines(folder: Path) -> list[dict[str, float | str]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
