"""The training loop: AVC, then AVSA from its weights, then the final figures."""

import json
import math
import random
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import record_function

from avsa_fast.data.batches import Batch
from avsa_fast.data.samples import Collection, Samples, Unreadable
from avsa_fast.errors import UserError
from avsa_fast.files import replacing
from avsa_fast.models import Embeddings, Model

from .checkpoint import State, load_newest, save_checkpoint, save_weights
from .config import Config, Stage
from .feed import Feed, Views
from .flops import flops_a_sample, matrix_rate
from .gradient_cache import cached_backward
from .heldout import held_out_figure
from .log import logging
from .objective import Objective
from .profile import Profiler
from .ranks import Ranks

ALONE = Ranks()
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Trainer:
    """A run: its choices, its data, its network and its folder."""

    def __init__(
        self, config: Config, collection: Collection, run: Path, device: torch.device, workers: int,
        ranks: Ranks = ALONE, profiler: Profiler | None = None,
    ) -> None:  # fmt: skip
        """With a profiler, nothing is kept. Raises UserError where ranks cannot share a step's samples evenly."""
        self.config, self.collection, self.run = config, collection, run
        self.device, self.workers, self.ranks, self.profiler = device, workers, ranks, profiler
        self.unreadable: set[str] = set()
        self.stage_steps = config.stage_steps(len(collection.train))
        for stage, steps in self.stage_steps.items():
            if steps and config.clips_a_step(stage) % ranks.count:
                raise UserError(
                    f"--batch {config.batch}: {config.clips_a_step(stage)} clips of a step of {stage.upper()} cannot "
                    f"be shared out evenly among {ranks.count} ranks"
                )
        if config.cache_chunk is not None and ranks.count > 1:
            raise UserError(f"cache_chunk {config.cache_chunk} is for one rank; several have memory for larger batches")
        torch.manual_seed(config.seed)
        model = Model(config.model).to(device)
        model.video_encoder.to(memory_format=torch.channels_last_3d)
        model.audio_encoder.to(memory_format=torch.channels_last)
        if config.batch_norm == "sync" and ranks.count > 1:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model, ranks.group)
        if config.compile and device.type == "cuda":
            model.video_encoder.compile()
            model.audio_encoder.compile()
        self.model: Model = model
        self.objective = Objective(model, config, ranks.group)
        self.best: tuple[int, float] | None = None

    @property
    def total_steps(self) -> int:
        return sum(self.stage_steps.values())

    def train(self, resume: bool) -> dict[str, dict[str, float]]:
        """Runs all remaining steps and returns the final figures, which metrics.json then holds too.

        Raises UserError where the data cannot be read, a decoding worker died or all checkpoints are damaged,
        KeyboardInterrupt after SIGINT or SIGTERM, once a checkpoint is written.
        """
        state, damage = load_newest(self.run / "checkpoints", self.model) if resume else (None, [])
        if state is not None:
            self.best = state.best
            self.objective.log_temperature.data.fill_(state.log_temperature)
        done = 0 if state is None else state.step
        silent = not self.ranks.first
        with logging(self.run, self.total_steps, done, silent) as self.log, _stop_requested() as self.stopped:
            for reason in damage if self.ranks.first else []:
                self.log.note(f"passed over: {reason}; going on after step {done}")
            try:
                begin = 0
                for stage, steps in self.stage_steps.items():
                    if done < begin + steps:
                        self._train_stage(stage, range(begin, begin + steps), max(done - begin, 0), state)
                    begin += steps
                return {} if self.profiler is not None else self._finish()
            except RuntimeError as error:
                if "DataLoader worker (pid" not in str(error):
                    raise
                raise UserError(
                    f"a decoding worker died: {error}; too little memory? Fewer --workers need less, and --resume "
                    "goes on from the last checkpoint"
                ) from error

    def _train_stage(self, stage: Stage, steps: range, done: int, state: State | None) -> None:
        """A stage's steps, counted from 0 over both stages, without those that are done of them."""
        if state is None or state.stage != stage:
            state = self.best = None
        optimiser = self._optimiser(stage, state)
        objective: nn.Module = self.objective
        if self.ranks.count > 1:
            objective = DistributedDataParallel(self.objective, process_group=self.ranks.group)
        self.model.train()
        flops, peak = 0.0, matrix_rate(self.device, PRECISIONS[self.config.precision])
        with self._feed(stage, len(steps), done) as feed:
            began = time.perf_counter()
            for number in range(done, len(steps)):
                step = steps[number] + 1
                seed_step(self.config.seed, step, self.ranks.rank)
                views = next(feed)
                if number == done:
                    flops = flops_a_sample(self.model, stage, views.crops, views.features) * len(views.names)
                    self.log.pictures(step, stage, views.crops[0], views.features[0])
                rate = self.config.rate_at((number + 1) / len(steps))
                figures = self._step(objective, optimiser, rate, stage, views, feed)
                took = time.perf_counter() - began
                self._check(step, figures, views)
                figures |= {
                    "lr": rate, "clips_per_second": self.config.clips_a_step(stage) / took,
                    "data_wait": views.waited / took, "views": views.made / took, "utilisation": flops / took / peak,
                }  # fmt: skip
                self._record(step, stage, figures, optimiser, last=number + 1 == len(steps))
                began = time.perf_counter()

    def _optimiser(self, stage: Stage, state: State | None) -> torch.optim.Optimizer:
        groups: list[dict[str, Any]] = [{"params": self.objective.trained(stage)}]
        if self.config.learn_temperature:
            groups.append({"params": [self.objective.log_temperature], "weight_decay": 0.0})
        optimiser = torch.optim.Adam(
            groups, lr=self.config.learning_rate, weight_decay=self.config.weight_decay, fused=True
        )  # fmt: skip
        if state is not None:
            optimiser.load_state_dict(state.optimiser)
        return optimiser

    def _feed(self, stage: Stage, steps: int, done: int) -> Feed:
        """This rank's share of the samples of a stage's steps: all ranks together take each number once."""
        clips, share = self.config.clips_a_step(stage), self.config.clips_a_step(stage) // self.ranks.count
        samples = Samples(
            self.collection, self.config.samples, seed=self.config.seed, count=steps * clips, spatial=stage == "avsa",
            augment=True, planes=self.device.type == "cuda",
        )  # fmt: skip
        firsts = (number * clips + self.ranks.rank * share for number in range(done, steps))
        numbers = [range(first, first + share) for first in firsts]
        return Feed(samples, numbers, self.config.views, self.device, self.workers, self._usable)

    def _step(
        self, objective: nn.Module, optimiser: torch.optim.Optimizer, rate: float, stage: Stage, views: Views,
        feed: Feed,
    ) -> dict[str, float]:  # fmt: skip
        """One step of the optimiser. Returns the loss and what else was seen before it."""
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        if self.config.cache_chunk is None:
            with record_function("forward"), self._autocast():
                loss, watched = objective(stage, views.crops, views.features)
            with record_function("backward"):
                loss.backward()
        else:
            loss, watched = self._cached_backward(stage, views, self.config.cache_chunk)
        with record_function("optimiser"):
            slopes = [p.grad for p in self.objective.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(slopes)
            optimiser.step()
        feed.prefetch()
        named: dict[str, Tensor] = {"loss": loss.detach(), **watched, "gradient_norm": norm}
        values = torch.stack([value.double() for value in named.values()]).tolist()  # waits for the device, once
        return dict(zip(named, values, strict=True))

    def _cached_backward(self, stage: Stage, views: Views, chunk: int) -> tuple[Tensor, dict[str, Tensor]]:
        watched: dict[str, Tensor] = {}

        def loss(*embeddings: Tensor) -> Tensor:
            value, figures = self.objective.compare(stage, Embeddings(*embeddings))
            watched.update(figures)
            return value

        chunks = list(zip(views.crops.split(chunk), views.features.split(chunk), strict=True))
        with record_function("backward"), self._autocast():
            return cached_backward(lambda chunk: self.model(*chunk), chunks, loss), watched

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _check(self, step: int, figures: dict[str, float], views: Views) -> None:
        """Raises UserError where the step has spoilt the weights."""
        if math.isfinite(figures["loss"] + figures["gradient_norm"]):
            return
        names = sorted(set(self.ranks.gather(views.names)))
        raise UserError(
            f"step {step}: loss {figures['loss']}, gradient norm {figures['gradient_norm']}; nothing after the last "
            f"checkpoint is kept. Clips of the step: {', '.join(names)}"
        )

    def _record(
        self, step: int, stage: Stage, figures: dict[str, float], optimiser: torch.optim.Optimizer, last: bool
    ) -> None:
        """What is logged and kept after a step. Raises KeyboardInterrupt where the run is to stop."""
        if self.profiler is not None:
            self.log.step(step, stage, figures)
            self.profiler.step(stage)
            return
        evaluated = step % self.config.evaluate_every == 0
        if evaluated and step != self.total_steps:
            figures |= self._evaluate(step, stage)
        self.log.step(step, stage, figures)
        stop = self.ranks.any(bool(self.stopped), self.device)
        if self.ranks.first and (step % self.config.checkpoint_every == 0 or evaluated or last or stop):
            temperature = self.objective.log_temperature.item()
            state = State(step, stage, optimiser.state_dict(), temperature, self.best)
            save_checkpoint(self.run / "checkpoints", self.model, state)
        if stop:
            if self.ranks.first:
                self.log.note(f"stopped after step {step}; --resume --out {self.run} continues")
            raise KeyboardInterrupt

    def _evaluate(self, step: int, stage: Stage) -> dict[str, float]:
        """The held-out figure, on the first rank; the best step of the stage is remembered, and its checkpoint kept."""
        found = self._held_out(stage) if self.ranks.first else None
        self.ranks.wait()
        if found is None:
            return {}
        if self.best is None or found["value"] > self.best[1]:
            self.best = step, found["value"]
        return {"held_out": found["value"]}

    def _held_out(self, stage: Stage) -> dict[str, float] | None:
        return held_out_figure(
            self.model, stage, self.config, self.collection, self.device, self.workers, self._usable
        )  # fmt: skip

    def _finish(self) -> dict[str, dict[str, float]]:
        """Writes the final weights and figures, and returns these; on the first rank."""
        figures = {}
        if self.ranks.first:
            save_weights(self.model, self.run / "weights.safetensors")
            self.log.note(
                "matching held-out samples" if self.collection.held_out else "no clip is held out: no figures"
            )
            for stage in (stage for stage, steps in self.stage_steps.items() if steps):
                if (value := self._held_out(stage)) is not None:
                    figures[f"{stage}_matching"] = value
            with replacing(self.run / "metrics.json") as part:
                part.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        self.ranks.wait()
        return figures

    def _usable(self, batch: Batch | Unreadable) -> Batch:
        """The batch; says once of each clip that it cannot be read. Raises UserError where none can."""
        for name, reason in batch.failures.items():
            if name not in self.unreadable:
                self.unreadable.add(name)
                self.log.note(f"skipped: {reason} ({len(self.unreadable)} clips so far)")
        if isinstance(batch, Unreadable):
            raise UserError(f"no readable clip among {len(batch.failures)}: {next(iter(batch.failures.values()))}")
        return batch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seeds all random numbers by the step: a resumed run draws what the uninterrupted one does, with nothing kept."""
    number = int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 (libraries may draw from it)
    torch.manual_seed(number)


@contextmanager
def _stop_requested() -> Iterator[list[bool]]:
    """A list that is empty until SIGINT or SIGTERM asks to stop: a step is never cut in two."""
    asked: list[bool] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(True)

    handlers = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
