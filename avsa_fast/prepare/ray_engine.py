"""Preparation of clips on a Ray cluster. All machines must see the source and target folders under the same paths."""

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from avsa_fast.errors import UserError
from avsa_fast.isolation import Worker, work

from .clip import Result
from .find import Job
from .task import PrepareTask


class _PrepareActor:
    """Ray Data actor that prepares clips in a worker process of its own, with the same limits as without Ray."""

    def __init__(self, task: PrepareTask) -> None:
        self._worker = Worker(task)

    def __call__(self, item: dict[str, str]) -> dict[str, str]:
        (result,) = work([_job_from_json(item["job"])], [self._worker])
        return {"result": json.dumps(result)}


def run_ray(jobs: Sequence[Job], task: PrepareTask, workers: int) -> Generator[Result, None, None]:
    """Prepares clips on a Ray cluster: the one that RAY_ADDRESS names, or else one started on this machine.

    Ray replaces an actor that dies, and repeats its clips.

    Args:
        jobs: Clips to prepare.
        task: How to prepare them.
        workers: Number of actors.

    Yields:
        Results, in order of completion.

    Raises:
        UserError: Ray is not installed or the run fails.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"--engine ray needs Ray ({error}): pip install 'avsa_fast[ray]'") from error
    owns_ray = not ray.is_initialized()
    if owns_ray:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        items = ray.data.from_items([{"job": _job_to_json(job)} for job in jobs], override_num_blocks=len(jobs))
        worker: Any = _PrepareActor  # Ray's annotations accept only classes of its own protocol
        done = items.map(
            worker,
            fn_constructor_args=(task,),
            concurrency=workers,
            num_cpus=task.threads,
        )
        for item in done.iter_rows():
            yield Result(*json.loads(item["result"]))
    except ray.exceptions.RayError as error:
        raise UserError(f"--engine ray: {str(error).strip().splitlines()[-1]}") from error
    finally:
        if owns_ray:
            ray.shutdown()


def _job_to_json(job: Job) -> str:
    return json.dumps([job.name, str(job.video or ""), str(job.sound or ""), job.begin, job.seconds])


def _job_from_json(text: str) -> Job:
    name, video, sound, begin, seconds = json.loads(text)
    return Job(name, Path(video) if video else None, Path(sound) if sound else None, begin, seconds)
