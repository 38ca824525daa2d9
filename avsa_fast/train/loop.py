"""The training loop: AVC, then AVSA from its weights, then the final figures."""

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from avsa_fast.data.samples import Collection, Sample, Samples, Unreadable
from avsa_fast.data.views import make_views
from avsa_fast.errors import UserError
from avsa_fast.models import Model

from .checkpoint import State, checkpoints, load_checkpoint, save_checkpoint, save_weights
from .config import Config, Stage
from .log import Log, logging
from .matching import CANDIDATES, avc_matches, avsa_matches, figure

MOMENTS = 16  # of a held-out clip, at most


class Trainer:
    """A run: its choices, its data, its network and its folder."""

    def __init__(self, config: Config, collection: Collection, run: Path, device: torch.device, workers: int) -> None:
        self.config, self.collection, self.run = config, collection, run
        self.device, self.workers = device, workers
        self.unreadable: set[str] = set()
        torch.manual_seed(config.seed)
        self.model = Model(config.model).to(device)
        self.stage_steps = config.stage_steps(len(collection.train))

    @property
    def total_steps(self) -> int:
        return sum(self.stage_steps.values())

    def train(self, resume: bool) -> dict[str, dict[str, float]]:
        """Runs all remaining steps and returns the final figures, which metrics.json then holds too.

        Raises UserError where the data cannot be read or a checkpoint is damaged, KeyboardInterrupt after SIGINT or
        SIGTERM, once a checkpoint is written.
        """
        state = self._last_state() if resume else None
        done = 0
        if state is not None:
            done = state.step
            torch.set_rng_state(state.random)
        with logging(self.run, self.total_steps, done) as log, _stop_requested() as stopped:
            before = 0
            for stage, steps in self.stage_steps.items():
                if done < before + steps:
                    self._train_stage(stage, before, max(done, before), before + steps, state, log, stopped)
                before += steps
            save_weights(self.model, self.run / "weights.safetensors")
            figures = self._final_figures(log)
        _write_json(self.run / "metrics.json", figures)
        return figures

    def _last_state(self) -> State | None:
        found = checkpoints(self.run / "checkpoints")
        return load_checkpoint(found[-1], self.model) if found else None

    def _train_stage(
        self, stage: Stage, begin: int, done: int, end: int, state: State | None, log: Log, stopped: list[bool]
    ) -> None:
        """Steps `done` to `end` of a stage that began after step `begin`."""
        config = self.config
        optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        if state is not None and state.stage == stage:
            optimiser.load_state_dict(state.optimiser)
        self.model.train()
        clips = config.clips_a_step(stage)
        samples = Samples(
            self.collection, config.samples, seed=config.seed, count=(end - begin) * clips,
            spatial=stage == "avsa", augment=True,
        )  # fmt: skip
        batches = self._batches(samples, clips, first=(done - begin) * clips, log=log)
        began = time.monotonic()
        for step in range(done + 1, end + 1):
            batch = next(batches)
            waited = time.monotonic() - began
            loss = self._loss(stage, batch)
            optimiser.zero_grad()
            loss.backward()
            value, slope = loss.item(), self._gradient_norm()
            if not math.isfinite(value + slope):
                raise UserError(
                    f"step {step}: loss {value}, gradient norm {slope}; nothing after the last checkpoint is kept. "
                    f"Clips of the step: {', '.join(sorted({sample.name for sample in batch}))}"
                )
            optimiser.step()
            took = time.monotonic() - began
            log.step(step, stage, value, config.learning_rate, clips / took, waited / took)
            began = time.monotonic()
            if step % config.checkpoint_every == 0 or step == end or stopped:
                state = State(step, stage, optimiser.state_dict(), torch.get_rng_state())
                save_checkpoint(self.run / "checkpoints", self.model, state)
            if stopped:
                log.note(f"stopped after step {step}; --resume --out {self.run} continues")
                raise KeyboardInterrupt

    def _loss(self, stage: Stage, batch: list[Sample]) -> Tensor:
        crops, features = make_views(batch, self.config.views, self.device)
        with self._autocast():
            embeddings = self.model(crops, features)
            if stage == "avc":
                return self.model.avc_loss(embeddings, self.config.temperature)
            return self.model.avsa_loss(embeddings, self.config.temperature)

    def _gradient_norm(self) -> float:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients).item()

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _batches(self, samples: Samples, size: int, first: int, log: Log) -> Iterator[list[Sample]]:
        loader = DataLoader(
            Subset(samples, range(first, len(samples))), batch_size=size, collate_fn=list, num_workers=self.workers,
            worker_init_fn=_ignore_signals,
            generator=torch.Generator(),  # else a new loader takes from the run's random numbers, and resuming shows
        )  # fmt: skip
        for batch in loader:
            for sample in batch:
                self._report(sample, log)
            yield batch

    def _report(self, sample: Sample | Unreadable, log: Log) -> None:
        """Says once of each clip that it cannot be read."""
        for name, reason in sample.failures.items():
            if name not in self.unreadable:
                self.unreadable.add(name)
                log.note(f"skipped: {reason} ({len(self.unreadable)} clips so far)")
        if isinstance(sample, Unreadable):
            raise UserError(f"no readable clip among {len(sample.failures)}: {next(iter(sample.failures.values()))}")

    @torch.no_grad()
    def _final_figures(self, log: Log) -> dict[str, dict[str, float]]:
        """Matching accuracies on held-out samples: AVC among up to 16 of them, AVSA among a sample's 4 views."""
        count = min(self.config.held_out_samples, MOMENTS * len(self.collection.held_out))
        if count == 0:
            log.note("no clip is held out: no final figures")
            return {}
        candidates = min(CANDIDATES, count)
        count -= count % candidates
        self.model.eval()
        log.note(f"matching {count} held-out samples")
        figures = {}
        for stage in self.stage_steps:
            if self.stage_steps[stage] == 0:
                continue
            samples = Samples(
                self.collection, self.config.samples, seed=self.config.seed, count=count,
                spatial=stage == "avsa", augment=False,
            )  # fmt: skip
            matches = []
            for batch in self._batches(samples, candidates, first=0, log=log):
                crops, features = make_views(batch, self.config.views, self.device)
                with self._autocast():
                    embeddings = self.model(crops, features)
                    matches.append(avc_matches(embeddings) if stage == "avc" else avsa_matches(self.model, embeddings))
            choices = candidates if stage == "avc" else crops.shape[1]
            figures[f"{stage}_matching"] = figure(torch.cat(matches), choices)
        return figures


def _ignore_signals(worker: int) -> None:
    """Ctrl-C and a stopped job reach every process of the group; workers end when the loop does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


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


def _write_json(path: Path, value: object) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)
