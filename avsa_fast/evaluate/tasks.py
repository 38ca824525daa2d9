"""The tasks of `python -m avsa_fast.evaluate`: which can run, and what they compute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from avsa_fast.data.samples import Collection, CropChoice
from avsa_fast.errors import UserError
from avsa_fast.locks import run_lock
from avsa_fast.models import Model
from avsa_fast.prepare import prepare_for_crops
from avsa_fast.progress import show_progress
from avsa_fast.run import Run, load_run, run_from_model
from avsa_fast.terminal import notice, say
from avsa_fast.writing import WriteError, make_subfolder

from .ablation import ablation, select_rows
from .cases import write_scores
from .datasets import LOADERS, Format, Labelled
from .doa import probe_directions
from .downstream import Input, embed_items, finetune, probe
from .metrics import Cases, format_metric
from .requirements import ANNOTATED, DOWNSTREAM, Task, require_clips, require_options, require_truth
from .scores import EmbeddedPairs, avc_scores, avsa_scores, localisation_scores, retrieval_scores
from .truth import Truth, read_truth

Scores = dict[str, Cases]


@dataclass
class TaskOptions:
    """Options of the tasks, as given to `cli.main`, and what tasks share."""

    data: Path | None
    moments: int
    seed: int
    classifiers: int
    truth: Path | None
    workers: int
    format: Format
    modality: Input
    partial: bool
    steps: int | None
    rows: tuple[str, ...]
    seeds: int
    collections: dict[CropChoice, Collection] = field(default_factory=dict)  # by crop directions
    pairs: EmbeddedPairs | None = None  # embeddings for the pretext tasks
    annotations: Truth | None = None  # directions of the objects


def evaluate(run: Path, tasks: Sequence[Task], options: TaskOptions, *, untrained: bool) -> None:
    """Evaluates a run: prints the metrics of each task and writes them.

    Args:
        run: Folder of a training run.
        tasks: What to evaluate.
        options: Options of the tasks.
        untrained: Use random weights instead of the run's.

    Raises:
        UserError: The run or the dataset cannot be used, or a task could not run.
    """
    loaded = _untrained(run, options.seed) if untrained else load_run(run)
    tasks = list(dict.fromkeys(tasks))
    problems: dict[Task, str] = {}
    dataset_tasks = [name for name in tasks if name not in DOWNSTREAM]
    dataset_tasks.sort(key=lambda name: name in ANNOTATED)  # the others' tables include the one that it needs
    with run_lock(run):
        results = make_subfolder(run, *(("eval", "untrained") if untrained else ("eval",)))
        _attempt(tasks, problems, tasks, lambda name: _check_options(loaded, options, name))
        _attempt(dataset_tasks, problems, tasks, lambda name: _check_clips(loaded, options, name))
        for name in tasks:
            _attempt([name], problems, tasks, lambda name: _evaluate(loaded, options, name, results))
    if problems:
        raise UserError(_told(problems))


def _attempt(
    names: Sequence[Task], problems: dict[Task, str], tasks: Sequence[Task], do: Callable[[Task], None]
) -> None:
    """Does something for those of the named tasks without a problem, and adds the problems that arise.

    They are printed if any of all `tasks` can still run; otherwise an error ends the command with them.
    """
    arising: dict[Task, str] = {}
    for name in names:
        if name not in problems:
            try:
                do(name)
            except WriteError:  # of which the other tasks would die, too
                raise
            except UserError as error:
                arising[name] = str(error)
    problems |= arising
    if arising and len(problems) < len(tasks):
        notice(f"evaluate: {_told(arising)}")


def _told(problems: dict[Task, str]) -> str:
    """Tasks that could not run, with their reasons, on one line."""
    by_reason: dict[str, list[Task]] = {}
    for name, reason in problems.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"--task {' '.join(names)} cannot run: {reason}" for reason, names in by_reason.items())


def _check_options(run: Run, options: TaskOptions, task: Task) -> None:
    """Raises UserError if a task cannot run on any dataset, or has no truth."""
    require_options(task, run, options.data, options.modality)
    if task in ANNOTATED:
        options.annotations = read_truth(_truth(run, options))


def _check_clips(run: Run, options: TaskOptions, task: Task) -> None:
    """Raises UserError if the dataset does not have the clips that a task needs. Creates the tables that it lacks."""
    crops: CropChoice = "random" if task in (*ANNOTATED, "ablation") else run.config.samples.crops
    collection = _collection(run, options, crops)
    require_clips(task, _folder(run, options), collection)
    if task in ANNOTATED and options.annotations is not None:
        require_truth(options.annotations, _truth(run, options), collection)


def _evaluate(run: Run, options: TaskOptions, task: Task, results: Path) -> None:
    """Runs one task, prints its metrics and writes them."""
    if task == "ablation":
        say(
            ablation(
                run, options.data, rows=select_rows(options.rows), seeds=options.seeds, steps=options.steps,
                moments=options.moments, seed=options.seed, classifiers=options.classifiers, workers=options.workers,
            )
        )  # fmt: skip
        return
    stem = f"{task}-{options.format}-{options.modality}" if task in DOWNSTREAM else task
    for key, metric in write_scores(results, stem, TASKS[task](run, options)).items():
        say(format_metric(key, metric))
    say(f"results: {results / f'{stem}.json'}")


def _avc(run: Run, options: TaskOptions) -> Scores:
    """AVC-Bin with its controls, and AVC matching."""
    return avc_scores(_pairs(run, options))


def _avsa(run: Run, options: TaskOptions) -> Scores:
    """AVSA-Bin in its variants, with their controls, and AVSA matching."""
    return avsa_scores(_pairs(run, options))


def _retrieval(run: Run, options: TaskOptions) -> Scores:
    """Cross-modal retrieval."""
    return retrieval_scores(_pairs(run, options))


def _localisation(run: Run, options: TaskOptions) -> Scores:
    """Localisation of annotated objects."""
    path = _truth(run, options)
    return localisation_scores(_pairs(run, options), options.annotations or read_truth(path), path)


def _doa(run: Run, options: TaskOptions) -> Scores:
    """Direction probe."""
    path = _truth(run, options)
    truth = options.annotations or read_truth(path)
    clips = _collection(run, options, "random")
    with show_progress("probing directions") as progress:
        return probe_directions(
            run, clips.train, clips.held_out, truth, path, moments=options.moments, progress=progress
        )


def _linear(run: Run, options: TaskOptions) -> Scores:
    """Linear probe."""
    return _probe(run, options, "linear")


def _knn(run: Run, options: TaskOptions) -> Scores:
    """Nearest neighbours."""
    return _probe(run, options, "knn")


def _probe(run: Run, options: TaskOptions, method: Literal["linear", "knn"]) -> Scores:
    """A classifier on frozen embeddings of the labelled dataset."""
    data = _labelled(options)
    with show_progress(f"embedding {data.name}") as progress:
        embeddings = embed_items(run, data, options.modality, progress)
    return probe(data, embeddings, method, seed=options.seed)


def _finetune(run: Run, options: TaskOptions) -> Scores:
    """Fine-tuning of one encoder."""
    assert options.modality != "both"
    data = _labelled(options)
    with show_progress(f"fine-tuning on folds of {data.name}") as progress:
        return finetune(run, data, options.modality, seed=options.seed, progress=progress)


TASKS: dict[str, Callable[[Run, TaskOptions], Scores]] = {
    "avc": _avc,
    "avsa": _avsa,
    "retrieval": _retrieval,
    "localisation": _localisation,
    "doa": _doa,
    "linear": _linear,
    "knn": _knn,
    "finetune": _finetune,
}


def _untrained(folder: Path, seed: int) -> Run:
    """The run's network with new random weights."""
    run = load_run(folder)
    torch.manual_seed(seed)
    return run_from_model(folder, run.config, Model(run.config.model), run.device)


def _folder(run: Run, options: TaskOptions) -> Path:
    """Folder of the dataset: --data, else the run's."""
    return options.data or Path(run.config.data)


def _collection(run: Run, options: TaskOptions, crops: CropChoice) -> Collection:
    """The dataset's clips, after creating the tables that it lacks."""
    if crops not in options.collections:
        data = _folder(run, options)
        prepare_for_crops(data, crops, named=options.data is not None)
        options.collections[crops] = Collection(data, crops, spatial=run.config.spatial)
    return options.collections[crops]


def _truth(run: Run, options: TaskOptions) -> Path:
    """Where the directions of objects are: --truth, else the dataset's truth.parquet."""
    return options.truth or _folder(run, options) / "truth.parquet"


def _pairs(run: Run, options: TaskOptions) -> EmbeddedPairs:
    """Embeddings that the pretext tasks share."""
    if options.pairs is None:
        options.pairs = EmbeddedPairs(
            run, _folder(run, options), lambda crops: _collection(run, options, crops), moments=options.moments,
            seed=options.seed, classifiers=options.classifiers, workers=options.workers,
        )  # fmt: skip
    return options.pairs


def _labelled(options: TaskOptions) -> Labelled:
    """The labelled dataset."""
    assert options.data is not None
    return LOADERS[options.format](options.data, partial=options.partial)
