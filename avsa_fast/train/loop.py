"""The training loop: AVC, then AVSA from its weights, then the final held-out accuracies."""

import json
import math
import random
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import record_function

from avsa_fast.config import Config, Stage
from avsa_fast.data.batches import Batch
from avsa_fast.data.loader import LoaderError
from avsa_fast.data.samples import Collection, Samples, Unreadable
from avsa_fast.errors import UserError
from avsa_fast.files import replacing
from avsa_fast.models import Embeddings, Model
from avsa_fast.models.weights import save_weights

from .checkpoint import State, load_newest, save_checkpoint
from .feed import Feed, StepInputs
from .flops import flops_a_sample, matrix_rate
from .gradient_cache import cached_backward
from .heldout import held_out_accuracy
from .log import logging
from .objective import Objective
from .profile import Profiler
from .ranks import Ranks
from .stop import Stop

ALONE = Ranks()
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Trainer:
    """Trains a model on a collection and writes logs, checkpoints and results to the run's folder."""

    def __init__(
        self, config: Config, collection: Collection, run: Path, device: torch.device, workers: int,
        ranks: Ranks = ALONE, profiler: Profiler | None = None,
    ) -> None:  # fmt: skip
        """Builds the model from the configuration and its seed.

        Args:
            config: The run's configuration.
            collection: Training and held-out clips.
            run: Folder of the run.
            device: Device to train on.
            workers: Decoding processes per rank; 0 decodes in this process.
            ranks: This process's place among those that train together.
            profiler: If given, steps are only profiled: no checkpoints and no weights are written.

        Raises:
            UserError: If the clips of a step cannot be divided evenly among the ranks, or `cache_chunk` is set with
                several ranks.
        """
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
        """Optimiser steps of both stages."""
        return sum(self.stage_steps.values())

    def train(self, resume: bool) -> dict[str, dict[str, float]]:
        """Runs all remaining steps and writes the final weights and metrics.json.

        Args:
            resume: Whether to continue from the newest intact checkpoint in the run's folder.

        Returns:
            Final held-out metrics by name, as in metrics.json; empty when profiling and on ranks other than the first.

        Raises:
            UserError: If data cannot be read, a decoding worker died, all checkpoints are damaged, or the loss or the
                gradient norm is not finite.
            KeyboardInterrupt: After SIGINT or SIGTERM, once a checkpoint is written; immediately after a second signal.
        """
        state, damage = load_newest(self.run / "checkpoints", self.model) if resume else (None, [])
        if state is not None:
            self.best = state.best
            self.objective.log_temperature.data.fill_(state.log_temperature)
        done = 0 if state is None else state.step
        silent = not self.ranks.first
        with logging(self.run, self.total_steps, done, silent) as self.log, Stop() as self.stop:
            for reason in damage if self.ranks.first else []:
                self.log.note(f"passed over: {reason}; going on after step {done}")
            if self.profiler is not None:
                self.stop.raise_at_once()  # profiling writes no checkpoints, so there is nothing to lose
            try:
                begin = 0
                for stage, steps in self.stage_steps.items():
                    if done < begin + steps:
                        self._train_stage(stage, range(begin, begin + steps), max(done - begin, 0), state)
                    begin += steps
                if self.profiler is not None:
                    return {}
                self.stop.raise_at_once()  # the last step has a checkpoint, so there is nothing to lose
                return self._finish()
            except (KeyboardInterrupt, LoaderError) as error:
                # A signal sent to every process of a job also ends the workers, so a LoaderError then means a stop.
                if isinstance(error, LoaderError) and not self.stop.requested:
                    raise UserError(f"{error}; --resume goes on from the last checkpoint") from error
                if self.ranks.first and self.profiler is None:
                    self.log.note(f"stopped; --resume --out {self.run} continues")
                raise KeyboardInterrupt from error

    def _train_stage(self, stage: Stage, steps: range, done: int, state: State | None) -> None:
        """Runs a stage, skipping its first `done` steps; `steps` are 0-based and count over both stages."""
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
                try:
                    views = next(feed)
                except LoaderError:
                    if self.stop.requested and number > done:
                        self._keep(step - 1, stage, optimiser)
                    raise
                if number == done:
                    flops = flops_a_sample(self.model, stage, views.crops, views.features) * len(views.names)
                    self.log.pictures(step, stage, views.crops[0], views.features[0])
                rate = self.config.rate_at((number + 1) / len(steps))
                metrics = self._step(objective, optimiser, rate, stage, views, feed)
                took = time.perf_counter() - began
                self._check(step, metrics, views)
                metrics |= {
                    "lr": rate, "clips_per_second": self.config.clips_a_step(stage) / took,
                    "data_wait": views.waited / took, "views": views.made / took, "utilisation": flops / took / peak,
                }  # fmt: skip
                self._record(step, stage, metrics, optimiser, last=number + 1 == len(steps))
                began = time.perf_counter()

    def _optimiser(self, stage: Stage, state: State | None) -> torch.optim.Optimizer:
        """Builds a stage's optimiser, with the state of the checkpoint if there is one."""
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
        """Builds the feed of this rank's samples; over all ranks, each sample number is used once."""
        clips, share = self.config.clips_a_step(stage), self.config.clips_a_step(stage) // self.ranks.count
        samples = Samples(
            self.collection, self.config.samples, seed=self.config.seed, count=steps * clips, spatial=stage == "avsa",
            augment=True, planes=self.device.type == "cuda",
        )  # fmt: skip
        firsts = (number * clips + self.ranks.rank * share for number in range(done, steps))
        numbers = [range(first, first + share) for first in firsts]
        return Feed(samples, numbers, self.config.views, self.device, self.workers, self._usable)

    def _step(
        self, objective: nn.Module, optimiser: torch.optim.Optimizer, rate: float, stage: Stage, views: StepInputs,
        feed: Feed,
    ) -> dict[str, float]:  # fmt: skip
        """Runs one optimiser step; returns the loss and other metrics, computed before the update."""
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
        values = torch.stack([value.double() for value in named.values()]).tolist()  # one device synchronisation
        return dict(zip(named, values, strict=True))

    def _cached_backward(self, stage: Stage, views: StepInputs, chunk: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes the loss, metrics and gradients with a gradient cache of `chunk` samples per chunk."""
        watched: dict[str, Tensor] = {}

        def loss(*embeddings: Tensor) -> Tensor:
            value, metrics = self.objective.compare(stage, Embeddings(*embeddings))
            watched.update(metrics)
            return value

        chunks = list(zip(views.crops.split(chunk), views.features.split(chunk), strict=True))
        with record_function("backward"), self._autocast():
            return cached_backward(lambda chunk: self.model(*chunk), chunks, loss), watched

    def _autocast(self) -> AbstractContextManager[None]:
        """Returns the autocast context of the configured precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _check(self, step: int, metrics: dict[str, float], views: StepInputs) -> None:
        """Raises UserError if the loss or the gradient norm is not finite."""
        if math.isfinite(metrics["loss"] + metrics["gradient_norm"]):
            return
        names = sorted(set(self.ranks.gather(views.names)))
        raise UserError(
            f"step {step}: loss {metrics['loss']}, gradient norm {metrics['gradient_norm']}; nothing after the last "
            f"checkpoint is kept. Clips of the step: {', '.join(names)}"
        )

    def _record(
        self, step: int, stage: Stage, metrics: dict[str, float], optimiser: torch.optim.Optimizer, last: bool
    ) -> None:
        """Logs a step, evaluates and writes a checkpoint if due; raises KeyboardInterrupt if the run is to stop."""
        if self.profiler is not None:
            self.log.step(step, stage, metrics)
            self.profiler.step(stage)
            return
        evaluated = step % self.config.evaluate_every == 0
        if evaluated and step != self.total_steps:
            metrics |= self._evaluate(step, stage)
        self.log.step(step, stage, metrics)
        stop = self.ranks.any(self.stop.requested, self.device)
        if step % self.config.checkpoint_every == 0 or evaluated or last or stop:
            self._keep(step, stage, optimiser)
        if stop:
            raise KeyboardInterrupt

    def _keep(self, step: int, stage: Stage, optimiser: torch.optim.Optimizer) -> None:
        """Writes a checkpoint, on the first rank."""
        if self.ranks.first:
            temperature = self.objective.log_temperature.item()
            state = State(step, stage, optimiser.state_dict(), temperature, self.best)
            save_checkpoint(self.run / "checkpoints", self.model, state)

    def _evaluate(self, step: int, stage: Stage) -> dict[str, float]:
        """Computes the held-out accuracy on the first rank and updates the stage's best step."""
        found = self._held_out(stage) if self.ranks.first else None
        self.ranks.wait()
        if found is None:
            return {}
        if self.best is None or found["value"] > self.best[1]:
            self.best = step, found["value"]
        return {"held_out": found["value"]}

    def _held_out(self, stage: Stage) -> dict[str, float] | None:
        """Computes the held-out accuracy; None if no clip is held out."""
        return held_out_accuracy(
            self.model, stage, self.config, self.collection, self.device, self.workers, self._usable
        )  # fmt: skip

    def _finish(self) -> dict[str, dict[str, float]]:
        """Writes the final weights and metrics on the first rank, and returns the metrics."""
        metrics = {}
        if self.ranks.first:
            save_weights(self.model, self.run / "weights.safetensors")
            self.log.note(
                "matching held-out samples" if self.collection.held_out else "no clip is held out: no metrics"
            )
            for stage in (stage for stage, steps in self.stage_steps.items() if steps):
                if (value := self._held_out(stage)) is not None:
                    metrics[f"{stage}_matching"] = value
            with replacing(self.run / "metrics.json") as part:
                part.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        self.ranks.wait()
        return metrics

    def _usable(self, batch: Batch | Unreadable) -> Batch:
        """Returns the batch and reports each unreadable clip once; raises UserError if the chunk has no usable clip."""
        for name, reason in batch.failures.items():
            if name not in self.unreadable:
                self.unreadable.add(name)
                self.log.note(f"skipped: {reason} ({len(self.unreadable)} clips so far)")
        if isinstance(batch, Unreadable):
            raise UserError(f"no readable clip among {len(batch.failures)}: {next(iter(batch.failures.values()))}")
        return batch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seeds the generators of Python, NumPy and torch for one step.

    A resumed run thus draws the same random numbers as an uninterrupted one, without saved generator state.

    Args:
        seed: The run's seed.
        step: Number of the step, over both stages.
        rank: Rank of this process.
    """
    number = int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 (libraries may draw from it)
    torch.manual_seed(number)
