"""What a run leaves behind of its steps: log.jsonl, TensorBoard events, and a progress bar or lines."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from avsa_fast.data.views import MEAN, STD
from avsa_fast.files import replacing

LINE_EVERY = 10.0  # seconds between lines where there is no terminal


class Log:
    """Records a step everywhere at once. `step` counts both stages together, from 1."""

    def __init__(self, run: Path, total_steps: int, first_step: int) -> None:
        self._lines = _continued(run / "log.jsonl", first_step)
        self._events = SummaryWriter(run, purge_step=first_step + 1)
        self._console = Console(stderr=True, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(), console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task: TaskID = self._progress.add_task("", total=total_steps, completed=first_step, figures="")
        self._total, self._first, self._began, self._last_line = total_steps, first_step, time.monotonic(), 0.0
        self._progress.start()

    def step(self, step: int, stage: str, figures: Mapping[str, float]) -> None:
        """One line a step; of the figures, "loss" and "clips_per_second" are shown to the person who watches."""
        self._lines.write(json.dumps({"step": step, "stage": stage, **figures}) + "\n")
        for name, value in figures.items():
            self._events.add_scalar(f"{stage}/{name}", value, step)
        text = f"loss {figures['loss']:.3f}  {figures['clips_per_second']:.1f} clips/s"
        self._progress.update(self._task, completed=step, description=stage.upper(), figures=text)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > LINE_EVERY or step == self._total):
            left = (now - self._began) / (step - self._first) * (self._total - step)
            self.note(f"{stage.upper()} step {step}/{self._total}  {text}  {left:.0f} s left")
            self._last_line = now

    def pictures(self, step: int, stage: str, crops: Tensor, features: Tensor) -> None:
        """The first frames of a sample's crops [K, 3, F, h, w], and the first channels of their sounds' features."""
        mean, std = (torch.tensor(values, device=crops.device).view(3, 1, 1) for values in (MEAN, STD))
        seen = (crops[:, :, 0] * std + mean).clamp(0, 1)
        self._events.add_image(f"{stage}/crops", make_grid(seen, nrow=len(seen)), step)
        heard = features[:, :1].flip(-2)  # low frequencies at the bottom
        self._events.add_image(f"{stage}/spectrograms", make_grid(heard, nrow=len(heard), normalize=True), step)

    def note(self, text: str) -> None:
        """A line for the person who watches."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()
        self._lines.close()
        self._events.close()


class Silence(Log):
    """The log of a rank whose steps another one records."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)

    def step(self, step: int, stage: str, figures: Mapping[str, float]) -> None:
        pass

    def pictures(self, step: int, stage: str, crops: Tensor, features: Tensor) -> None:
        pass

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        pass


def _continued(path: Path, steps: int) -> Any:
    """The log, cut after the steps that a resumed run keeps; written line by line."""
    kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[:steps] if steps and path.exists() else []
    with replacing(path) as part:
        part.write_text("".join(kept), encoding="utf-8")
    return path.open("a", encoding="utf-8", buffering=1)


@contextmanager
def logging(run: Path, total_steps: int, first_step: int, silent: bool = False) -> Iterator[Log]:
    """A log that is closed whatever happens; a silent one shows notes alone."""
    log = Silence() if silent else Log(run, total_steps, first_step)
    try:
        yield log
    finally:
        log.close()
