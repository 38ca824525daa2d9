"""The training loop: AVC, then AVSA from its weights, then the final held-out accuracies."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from avsa_fast.config import Config, Stage
from avsa_fast.data.batches import Batch
from avsa_fast.data.loader import LoaderError
from avsa_fast.data.samples import Collection, Samples, Unreadable
from avsa_fast.data.spans import ClipSpan
from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.models import Model
from avsa_fast.models.weights import save_weights
from avsa_fast.writing import WriteError

from .average import Average
from .build import build_model, check_ranks
from .checkpoint import load_newest, save_checkpoint
from .feed import Feed
from .flops import flops_per_sample, matrix_rate
from .frozen import measure_statistics
from .heldout import held_out_accuracy
from .log import logging
from .objective import Objective
from .optimiser import StageOptimiser
from .profile import Profiler
from .ranks import Ranks
from .resumed import check_resumed, stated
from .seeds import seed_step
from .state import State
from .stop import Stop

SINGLE_PROCESS = Ranks()
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Trainer:
    """Trains a model on a collection and writes logs, checkpoints and results to the run's folder.

    Attributes:
        config: Configuration of the run.
        collection: Training and held-out clips.
        run: Folder of the run.
        model: The network.
        average: The moving average of the network, if the configuration has one.
        objective: The network with its loss.
        stage_steps: Optimiser steps by stage.
        best: Step with the current stage's best accuracy on the validation clips, and that accuracy; None before the
            first evaluation.
    """

    def __init__(
        self, config: Config, collection: Collection, run: Path, device: torch.device, workers: int,
        ranks: Ranks = SINGLE_PROCESS, profiler: Profiler | None = None,
    ) -> None:  # fmt: skip
        """Builds the model from the configuration and its seed.

        Args:
            config: Configuration of the run.
            collection: Training and held-out clips.
            run: Folder of the run.
            device: Device to train on.
            workers: Decoding processes per rank; 0 decodes in this process.
            ranks: This process's rank among those that train together.
            profiler: If given, steps are only profiled: no checkpoints and no weights are written.

        Raises:
            UserError: If the clips of a step cannot be divided evenly among the ranks.
        """
        self.config, self.collection, self.run = config, collection, run
        self.device, self.workers, self.ranks, self.profiler = device, workers, ranks, profiler
        self.stage_steps = config.stage_steps(len(collection.train))
        check_ranks(config, self.stage_steps, ranks)
        self.model = build_model(config, device, ranks)
        self.objective = Objective(self.model, config, ranks.group)
        self.average = Average(self.model, config.ema) if config.ema else None
        self.best: tuple[int, float] | None = None
        self._unreadable: set[str] = set()  # names of the clips reported so far

    @property
    def evaluated(self) -> Model:
        """The network that is evaluated and saved: the moving average, if there is one."""
        return self.model if self.average is None else self.average.model

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
            UserError: If data cannot be read, a decoding worker died, all checkpoints are damaged or of another
                configuration, or the loss or the gradient norm is not finite.
            WriteError: If a file of the run cannot be written.
            KeyboardInterrupt: After SIGINT or SIGTERM, once a checkpoint is written; immediately after a second signal.
        """
        state: State | None = None
        damage: list[str] = []
        if resume:
            averaged = None if self.average is None else self.average.model
            state, damage = load_newest(self.run / "checkpoints", self.objective, averaged)
        if state is not None:
            check_resumed(self.run, self.config, state, self.total_steps)
            self.best = state.best
            self.objective.log_temperature.data.fill_(state.log_temperature)
        done = 0 if state is None else state.step
        notes = [f"skipped: {reason}; continuing after step {done}" for reason in damage]
        if resume and state is None:
            notes.append(f"{self.run} has no checkpoint yet: training starts from the beginning")
        try:
            return self._train(done, state, notes)
        except WriteError as error:
            if self.profiler is not None:
                raise
            raise WriteError(f"{error}; --resume continues from the last checkpoint") from error

    def _train(self, done: int, state: State | None, notes: list[str]) -> dict[str, dict[str, float]]:
        """Runs the steps after the first `done` ones with an open log, which begins with `notes`."""
        silent = not self.ranks.first
        with logging(self.run, self.total_steps, done, silent) as self._log, Stop() as self._stop:
            for note in notes if self.ranks.first else []:
                self._log.note(note)
            if self.profiler is not None:
                self._stop.raise_at_once()  # profiling writes no checkpoints
            try:
                begin = 0
                for stage, steps in self.stage_steps.items():
                    if done < begin + steps:
                        self._train_stage(stage, range(begin, begin + steps), max(done - begin, 0), state)
                    begin += steps
                if self.profiler is not None:
                    return {}
                self._stop.raise_at_once()  # the last step has a checkpoint already
                return self._finish()
            except (KeyboardInterrupt, LoaderError) as error:
                # A signal sent to every process of a job also ends the workers, so a LoaderError then means a stop.
                if isinstance(error, LoaderError) and not self._stop.requested:
                    raise UserError(f"{error}; --resume continues from the last checkpoint") from error
                if self.ranks.first and self.profiler is None:
                    self._log.note(f"stopped; --resume --out {self.run} continues")
                raise KeyboardInterrupt from error

    def _train_stage(self, stage: Stage, steps: range, done: int, state: State | None) -> None:
        """Runs a stage, skipping its first `done` steps; `steps` are 0-based and count over both stages."""
        if state is None or state.stage != stage:
            state = self.best = None
        optimiser = StageOptimiser(
            self.objective, self.config, stage, self.device, self.ranks, None if state is None else state.optimiser
        )
        self.model.train()
        flops, peak = 0.0, matrix_rate(self.device, DTYPES[self.config.precision])
        with self._feed(stage, len(steps), done) as feed:
            began = time.perf_counter()
            for number in range(done, len(steps)):
                step = steps[number] + 1
                seed_step(self.config.seed, step, self.ranks.rank)
                try:
                    inputs = next(feed)
                except LoaderError:
                    if self._stop.requested and number > done:
                        self._save_checkpoint(step - 1, stage, optimiser)
                    raise
                if step == 1 and self.config.batch_norm == "frozen":
                    measure_statistics(self.model, inputs, self.ranks)
                if number == done:
                    flops = flops_per_sample(self.model, stage, inputs.crops, inputs.features) * len(inputs.names)
                    self._log.pictures(step, stage, inputs.crops[0], inputs.features[0])
                learning_rate = self.config.learning_rate_at((number + 1) / len(steps))
                results = optimiser.step(inputs, learning_rate)
                if self.average is not None:
                    self.average.update(self.model, step)
                feed.prefetch()
                values = torch.stack([value.double() for value in results.values()])
                metrics = dict(zip(results, values.tolist(), strict=True))  # one device synchronisation
                seconds = time.perf_counter() - began
                self._check_finite(step, metrics, inputs.names)
                metrics |= {
                    "lr": learning_rate, "clips_per_second": self.config.clips_per_step(stage) / seconds,
                    "data_wait": inputs.wait_seconds / seconds, "views": inputs.view_seconds / seconds,
                    "utilisation": flops / seconds / peak,
                }  # fmt: skip
                self._end_step(step, stage, metrics, optimiser, last=number + 1 == len(steps))
                began = time.perf_counter()

    def _feed(self, stage: Stage, steps: int, done: int) -> Feed:
        """Builds the feed of this rank's samples; over all ranks, each sample number is used once."""
        clips = self.config.clips_per_step(stage)
        per_rank = clips // self.ranks.count
        samples = Samples(
            self.collection, self.config.samples, seed=self.config.seed, count=steps * clips, spatial=stage == "avsa",
            augment=True, per_step=clips, planes=self.device.type == "cuda",
        )  # fmt: skip
        firsts = (number * clips + self.ranks.rank * per_rank for number in range(done, steps))
        numbers = [range(first, first + per_rank) for first in firsts]
        return Feed(samples, numbers, self.config.views, self.device, self.workers, self._readable)

    def _check_finite(self, step: int, metrics: dict[str, float], names: list[str]) -> None:
        """Raises UserError if the loss or the gradient norm is not finite; names the clips of all ranks."""
        if math.isfinite(metrics["loss"] + metrics["gradient_norm"]):
            return
        names = sorted(set(self.ranks.gather(names)))
        raise UserError(
            f"step {step}: loss {metrics['loss']}, gradient norm {metrics['gradient_norm']}; steps after the last "
            f"checkpoint are lost. Clips of the step: {', '.join(names)}"
        )

    def _end_step(
        self, step: int, stage: Stage, metrics: dict[str, float], optimiser: StageOptimiser, last: bool
    ) -> None:
        """Logs a step, evaluates and writes a checkpoint if due; raises KeyboardInterrupt if the run is to stop."""
        if self.profiler is not None:
            self._log.step(step, stage, metrics)
            self.profiler.step(stage)
            return
        evaluated = step % self.config.evaluate_every == 0
        if evaluated and step != self.total_steps:
            metrics |= self._evaluate(step, stage)
        self._log.step(step, stage, metrics)
        stop = self.ranks.any(self._stop.requested, self.device)
        if step % self.config.checkpoint_every == 0 or evaluated or last or stop:
            self._save_checkpoint(step, stage, optimiser)
        if stop:
            raise KeyboardInterrupt

    def _save_checkpoint(self, step: int, stage: Stage, optimiser: StageOptimiser) -> None:
        """Writes a checkpoint, on the first rank."""
        if self.ranks.first:
            temperature = self.objective.log_temperature.item()
            state = State(step, stage, stated(self.config), optimiser.state_dict(), temperature, self.best)
            averaged = None if self.average is None else self.average.model
            save_checkpoint(self.run / "checkpoints", self.model, state, averaged)

    def _evaluate(self, step: int, stage: Stage) -> dict[str, float]:
        """Computes the accuracy on the validation clips on the first rank and updates the stage's best step."""
        accuracy = self._held_out_accuracy(stage, self.collection.validation) if self.ranks.first else None
        self.ranks.wait()
        if accuracy is None:
            return {}
        if self.best is None or accuracy["value"] > self.best[1]:
            self.best = step, accuracy["value"]
        return {"validation": accuracy["value"]}

    def _held_out_accuracy(self, stage: Stage, spans: Sequence[ClipSpan]) -> dict[str, float] | None:
        """Computes the accuracy on clips that are not trained on; None if there are none."""
        return held_out_accuracy(
            self.evaluated, stage, self.config, self.collection, spans, self.device, self.workers, self._readable
        )  # fmt: skip

    def _finish(self) -> dict[str, dict[str, float]]:
        """Writes the final weights and metrics on the first rank, and returns the metrics."""
        metrics = {}
        if self.ranks.first:
            save_weights(self.evaluated, self.run / "weights.safetensors")
            self._log.note(
                "matching held-out samples" if self.collection.held_out else "no clip is held out: no metrics"
            )
            for stage in (stage for stage, steps in self.stage_steps.items() if steps):
                if (accuracy := self._held_out_accuracy(stage, self.collection.held_out)) is not None:
                    metrics[f"{stage}_matching"] = accuracy
            write_text(self.run / "metrics.json", json.dumps(metrics, indent=2) + "\n")
        self.ranks.wait()
        return metrics

    def _readable(self, chunk: Batch | Unreadable) -> Batch:
        """Returns the chunk's batch and reports each unreadable clip once; raises UserError if none can be read."""
        for name, reason in chunk.failures.items():
            if name not in self._unreadable:
                self._unreadable.add(name)
                self._log.note(f"skipped: {reason} ({len(self._unreadable)} clips so far)")
        if isinstance(chunk, Unreadable):
            raise UserError(f"no readable clip among {len(chunk.failures)}: {next(iter(chunk.failures.values()))}")
        return chunk
