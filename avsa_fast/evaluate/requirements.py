"""What the tasks need of the run, the options and the dataset, checked before any of them starts."""

from pathlib import Path

from avsa_fast.choices import Task as Task
from avsa_fast.data.samples import Collection
from avsa_fast.errors import UserError
from avsa_fast.run import Run

from .downstream import Input
from .truth import Truth

DIRECTIONAL: tuple[Task, ...] = ("avsa", "localisation", "doa")
ANNOTATED: tuple[Task, ...] = ("localisation", "doa")  # which need the directions of sounding objects
DOWNSTREAM: tuple[Task, ...] = ("linear", "knn", "finetune")
MIN_CLIPS = 2  # for tasks that compare a clip with others


def require_options(task: Task, run: Run, data: Path | None, modality: Input) -> None:
    """Checks what a task needs of the run and the options.

    Args:
        task: Name of the task.
        run: Trained run.
        data: Dataset folder, if it was given.
        modality: Input to classify.

    Raises:
        UserError: The run's sound has no direction, or an option is missing or not possible.
    """
    if task in DIRECTIONAL and run.config.views.audio == "mono":
        raise UserError(f"{run.folder}: mono sound has no direction; use --task avc or retrieval")
    if task in DOWNSTREAM and data is None:
        raise UserError("--data must name the folder of a labelled dataset, and --format its layout")
    if task == "finetune" and modality == "both":
        raise UserError("--task finetune trains one encoder: --modality video or audio")


def require_clips(task: Task, data: Path, collection: Collection) -> None:
    """Checks that a task has enough clips.

    Args:
        task: Name of the task; those on labelled datasets have other requirements.
        data: Dataset folder.
        collection: Its clips.

    Raises:
        UserError: There are too few.
    """
    train, held_out = len(collection.train), len(collection.held_out)
    if not held_out:
        raise UserError(f"{data}: no clip is held out; list some in test.txt")
    if task in ("avc", "ablation") and min(train, held_out) < MIN_CLIPS:
        raise UserError(
            f"{data}: {train} to train on and {held_out} held out; AVC-Bin needs the sound of another clip, so at "
            f"least {MIN_CLIPS} clips of each"
        )
    if task == "retrieval" and held_out < MIN_CLIPS:
        raise UserError(f"{data}: {held_out} clip held out; retrieval chooses among at least {MIN_CLIPS}")


def require_truth(truth: Truth, path: Path, collection: Collection) -> None:
    """Checks that the objects of a held-out clip are annotated.

    Args:
        truth: Directions of the sounding objects.
        path: Where they were read from.
        collection: Clips of the dataset.

    Raises:
        UserError: No held-out clip has annotated objects.
    """
    if not any(truth.annotates(span.name) for span in collection.held_out):
        raise UserError(
            f"{path}: no objects are annotated in the held-out clips, such as {collection.held_out[0].name}"
        )
