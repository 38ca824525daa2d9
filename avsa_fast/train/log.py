"""Logging of training steps: log.jsonl, TensorBoard events, and a progress bar or progress lines."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from avsa_fast.data.views import MEAN, STD
from avsa_fast.files import atomic_write
from avsa_fast.terminal import printable
from avsa_fast.writing import Lines, writing

LINE_INTERVAL = 10.0  # seconds between progress lines if stderr is not a terminal


class Log:
    """Writes each step to log.jsonl, TensorBoard and the console. Steps count over both stages, from 1."""

    def __init__(self, run: Path, total_steps: int, first_step: int) -> None:
        """Opens the logs, and truncates those of an earlier run to `first_step` steps.

        Args:
            run: Folder of the run.
            total_steps: Steps of both stages.
            first_step: Steps already done by the run that is resumed, or 0.

        Raises:
            WriteError: They cannot be written.
        """
        self._run = run
        self._lines = _open_truncated(run / "log.jsonl", first_step)
        with writing(run):
            self._events = SummaryWriter(run, purge_step=first_step + 1)
        self._console = Console(stderr=True, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(), console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task: TaskID = self._progress.add_task("", total=total_steps, completed=first_step, metrics="")
        self._total, self._first, self._began, self._last_line = total_steps, first_step, time.monotonic(), 0.0
        self._progress.start()

    def step(self, step: int, stage: str, metrics: Mapping[str, float]) -> None:
        """Logs one step.

        Args:
            step: Number of the step.
            stage: Name of the stage.
            metrics: Metrics by name; must contain "loss" and "clips_per_second", which the console shows.

        Raises:
            WriteError: It cannot be written.
        """
        self._lines.append(json.dumps({"step": step, "stage": stage, **metrics}).encode() + b"\n")
        with writing(self._run):
            for name, value in metrics.items():
                self._events.add_scalar(f"{stage}/{name}", value, step)
        text = f"loss {metrics['loss']:.3f}  {metrics['clips_per_second']:.1f} clips/s"
        self._progress.update(self._task, completed=step, description=stage.upper(), metrics=text)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > LINE_INTERVAL or step == self._total):
            left = (now - self._began) / (step - self._first) * (self._total - step)
            self.note(f"{stage.upper()} step {step}/{self._total}  {text}  {left:.0f} s left")
            self._last_line = now

    def pictures(self, step: int, stage: str, crops: Tensor, features: Tensor) -> None:
        """Logs one sample's views to TensorBoard: the first frame of each crop and the first channel of its features.

        Args:
            step: Number of the step.
            stage: Name of the stage.
            crops: [K, 3, F, h, w], normalised.
            features: [K, channels, n_mels, n_frames].
        """
        mean, std = (torch.tensor(values, device=crops.device).view(3, 1, 1) for values in (MEAN, STD))
        images = (crops[:, :, 0] * std + mean).clamp(0, 1)
        spectra = features[:, :1].flip(-2)  # low frequencies at the bottom
        with writing(self._run):
            self._events.add_image(f"{stage}/crops", make_grid(images, nrow=len(images)), step)
            self._events.add_image(f"{stage}/spectrograms", make_grid(spectra, nrow=len(spectra), normalize=True), step)

    def note(self, text: str) -> None:
        """Prints a line to the console.

        Args:
            text: The line.
        """
        self._progress.console.print(printable(text), markup=False, highlight=False)

    def close(self) -> None:
        """Closes the log files and the progress bar."""
        self._progress.stop()
        try:
            self._lines.close()
        finally:
            with writing(self._run):
                self._events.close()


class SilentLog(Log):
    """Log of the ranks other than the first: prints notes and ignores steps."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)

    def step(self, step: int, stage: str, metrics: Mapping[str, float]) -> None:
        pass

    def pictures(self, step: int, stage: str, crops: Tensor, features: Tensor) -> None:
        pass

    def note(self, text: str) -> None:
        self._console.print(printable(text), markup=False, highlight=False)

    def close(self) -> None:
        pass


def _open_truncated(path: Path, steps: int) -> Lines:
    """Opens log.jsonl for appending, truncated to the steps that a resumed run keeps."""
    kept: list[bytes] = []
    if steps and path.exists():
        with path.open("rb") as lines:
            kept = list(islice(lines, steps))
    with atomic_write(path) as part:
        part.write_bytes(b"".join(kept))
    return Lines(path)


@contextmanager
def logging(run: Path, total_steps: int, first_step: int, silent: bool = False) -> Iterator[Log]:
    """Context manager that opens a log and closes it on exit.

    Args:
        run: Folder of the run.
        total_steps: Steps of both stages.
        first_step: Steps already done by the run that is resumed, or 0.
        silent: Whether only notes are shown and nothing is written, as on all ranks but the first.

    Yields:
        The log.
    """
    with _quiet_events():
        log = SilentLog() if silent else Log(run, total_steps, first_step)
        try:
            yield log
        finally:
            log.close()


@contextmanager
def _quiet_events() -> Iterator[None]:
    """Context in which TensorBoard's thread prints no traceback: its next call in this thread raises the error."""
    before = threading.excepthook

    def hook(error: threading.ExceptHookArgs) -> None:
        if not issubclass(error.exc_type, OSError):
            before(error)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
