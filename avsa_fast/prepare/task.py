"""Preparation of clips as a task of isolated worker processes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avsa_fast.isolation import Work

from .clip import Result, failed, prepare_clip
from .find import Job
from .options import PrepareOptions


@dataclass(frozen=True)
class PrepareTask:
    """Prepares clips.

    Attributes:
        options: How clips are prepared.
        target: Dataset folder that transcoded files are written to.
        threads: Number of torch's threads per worker.
    """

    options: PrepareOptions
    target: Path
    threads: int

    def start(self) -> Work[Job, Result]:
        """Loads the detector, and returns the function that prepares a clip."""
        import torch

        torch.set_num_threads(self.threads)
        detector = self.options.make_detector()

        def prepare(job: Job, heartbeat: Callable[[], None]) -> Result:
            return prepare_clip(job, self.options, detector, self.target, heartbeat)

        return prepare

    def path(self, job: Job) -> Path | None:
        """Returns the clip's video file."""
        return job.video

    def failed(self, job: Job, state: str, reason: str) -> Result:
        """Returns the result of an unusable clip."""
        return failed(job, state, reason)
