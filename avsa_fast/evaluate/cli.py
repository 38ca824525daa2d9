"""Options of `python -m avsa_fast.evaluate`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.choices import Format, Input, Task
from avsa_fast.errors import UserError
from avsa_fast.flags import MAX_STEPS, Range, Seed, Workers, checked
from avsa_fast.terminal import say


@checked
def main(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    task: tuple[Task, ...] = (),
    compare: tuple[Path, ...] = (),
    data: Path | None = None,
    moments: Annotated[int, Range(1, 10_000)] = 4,
    seed: Seed = 0,
    classifiers: Annotated[int, Range(1, 64)] = 8,
    truth: Path | None = None,
    format: Format = "folders",
    modality: Input = "audio",
    partial: bool = False,
    steps: Annotated[int | None, Range(2, MAX_STEPS)] = None,
    rows: tuple[str, ...] = (),
    seeds: Annotated[int, Range(1, 100)] = 1,
    untrained: bool = False,
    workers: Workers = 2,
) -> None:
    """Evaluates a run. Each metric has a 95 % interval (bootstrap over recordings) and its chance level.

    avc and avsa train classifiers on frozen embeddings of the training clips (AVC-Bin, AVSA-Bin), and test them and
    matching on the held-out clips. retrieval finds the sounds of pictures and the pictures of sounds among them.
    localisation estimates the direction that the sound of an object comes from; doa, that of a single sound from its
    embedding alone. linear, knn and finetune classify a labelled dataset. ablation trains the run's method, and
    variants of it, and evaluates them all alike.

    --compare RUN … prints a table of evaluated runs, with intervals over training seeds and recordings, and of their
    paired differences to the first run. Runs that differ only in their seed are one row.

    Results are written to RUN/eval/TASK.json. A task that cannot run is named with the reason before the others start.

    Args:
        run: Folder of a training run.
        task: What to evaluate; several tasks may be named.
        compare: Other runs to compare this one with, after its tasks.
        data: Dataset folder, if other than the run's own; missing tables are created. For linear, knn and finetune: the
            labelled dataset.
        moments: Evenly spaced samples per clip.
        seed: Seed of the classifiers, of negative pairs and of directions without an object.
        classifiers: Classifiers of AVC-Bin and AVSA-Bin with different seeds, over which accuracies are averaged.
        truth: Directions of the objects: truth.parquet or a folder of STARSS-style NAME.csv. Default: the dataset's.
        format: Layout of the labelled dataset: folders of classes, or as its authors publish it.
        modality: Input to classify; both: picture and sound together (early fusion).
        partial: Use a labelled dataset in spite of missing classes or files.
        steps: Training steps per run of the ablation. Default: the run's.
        rows: Rows of the ablation by name, as its folders are called. Default: all.
        seeds: Trainings per row of the ablation, from which intervals and paired differences are computed.
        untrained: Use random weights instead of the run's, as a control; results go to RUN/eval/untrained.
        workers: Processes that decode media.

    Raises:
        UserError: If an option is out of range, the run or the dataset cannot be used, or a task could not run.
    """
    from .compare import compare as compare_runs
    from .tasks import TaskOptions, evaluate

    if not task and not compare:
        raise UserError("nothing to do: --task names what to evaluate, --compare runs to compare with")
    if task:
        options = TaskOptions(
            data, moments, seed, classifiers, truth, workers, format, modality, partial, steps, rows, seeds
        )
        evaluate(run, task, options, untrained=untrained)
    if compare:
        say(compare_runs([run, *compare]))
