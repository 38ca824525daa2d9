"""What a run leaves behind of its steps: log.jsonl, TensorBoard events, and a progress bar or lines."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

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

    def step(self, step: int, stage: str, loss: float, lr: float, clips_per_second: float, data_wait: float) -> None:
        """One line a step; data_wait is the share of the step spent waiting for data."""
        figures = {"loss": loss, "lr": lr, "clips_per_second": clips_per_second, "data_wait": data_wait}
        self._lines.write(json.dumps({"step": step, "stage": stage} | figures) + "\n")
        for name, value in figures.items():
            self._events.add_scalar(f"{stage}/{name}", value, step)
        text = f"loss {loss:.3f}  {clips_per_second:.1f} clips/s"
        self._progress.update(self._task, completed=step, description=stage.upper(), figures=text)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > LINE_EVERY or step == self._total):
            left = (now - self._began) / (step - self._first) * (self._total - step)
            self.note(f"{stage.upper()} step {step}/{self._total}  {text}  {left:.0f} s left")
            self._last_line = now

    def note(self, text: str) -> None:
        """A line for the person who watches."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()
        self._lines.close()
        self._events.close()


def _continued(path: Path, steps: int) -> Any:
    """The log, cut after the steps that a resumed run keeps; written line by line."""
    kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[:steps] if steps and path.exists() else []
    file = path.open("w", encoding="utf-8", buffering=1)
    file.writelines(kept)
    return file


@contextmanager
def logging(run: Path, total_steps: int, first_step: int) -> Iterator[Log]:
    """A log that is closed whatever happens."""
    log = Log(run, total_steps, first_step)
    try:
        yield log
    finally:
        log.close()
