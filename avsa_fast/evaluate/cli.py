"""Options of `python -m avsa_fast.evaluate`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
from tyro.conf import Positional, arg

from avsa_fast.data.samples import Collection, CropChoice
from avsa_fast.errors import UserError
from avsa_fast.models import Model
from avsa_fast.prepare import prepare_for_crops
from avsa_fast.progress import show_progress
from avsa_fast.run import Run, load_run, run_from_model

from .ablation import ablation
from .datasets import LOADERS, Format, Labelled
from .downstream import Input, embed_items, finetune, probe
from .localisation import localise
from .metrics import Metric, format_metric, write_metrics
from .pairs import Pairs, embed_pairs
from .pretext import Control, avc_bin, avc_matching, avsa_bin, avsa_matching, retrieval
from .truth import read_truth

Task = Literal["avc", "avsa", "retrieval", "localisation", "linear", "knn", "finetune", "ablation"]
Metrics = dict[str, Metric]
CONTROLS: tuple[Control, ...] = ("none", "shuffled labels", "sound alone")


@dataclass
class TaskOptions:
    """Options of the tasks, as given to `main`, and the embeddings that tasks share."""

    data: Path | None
    moments: int
    seed: int
    truth: Path | None
    workers: int
    format: Format
    modality: Input
    partial: bool
    pairs: dict[str, Pairs] = field(default_factory=dict)  # cache of embeddings by split


def main(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    task: tuple[Task, ...],
    data: Path | None = None,
    moments: int = 4,
    seed: int = 0,
    truth: Path | None = None,
    format: Format = "folders",
    modality: Input = "audio",
    partial: bool = False,
    steps: int | None = None,
    untrained: bool = False,
    workers: int = 2,
) -> None:
    """Evaluates a run. Each metric has a 95 % interval (bootstrap over clips) and its chance level.

    avc and avsa train a classifier on frozen embeddings of the training clips (AVC-Bin, AVSA-Bin), and test it and
    matching on the held-out clips. retrieval finds the sounds of pictures and the pictures of sounds among them.
    localisation estimates the direction that the sound of an object comes from. linear, knn and finetune classify a
    labelled dataset. ablation trains every sound representation with both kinds of crops and evaluates them.

    Results are written to RUN/eval/TASK.json.

    Args:
        run: Folder of a training run.
        task: What to evaluate; several tasks may be named.
        data: Dataset folder, if other than the run's own; missing tables are created. For linear, knn and finetune: the
            labelled dataset.
        moments: Evenly spaced samples per clip.
        seed: Seed of the classifiers, of negative pairs and of directions without an object.
        truth: Directions of the objects: truth.parquet or a folder of STARSS-style NAME.csv. Default: the dataset's.
        format: Layout of the labelled dataset: folders of classes, or as its authors publish it.
        modality: Input to classify; both: picture and sound together (early fusion).
        partial: Use a labelled dataset in spite of missing classes or files.
        steps: Training steps per run of the ablation. Default: the run's.
        untrained: Use random weights instead of the run's, as a control; results go to RUN/eval/untrained.
        workers: Processes that decode media.

    Raises:
        UserError: If an option is out of range, or the run or the dataset cannot be used.
    """
    if moments < 1 or seed < 0 or workers < 0 or (steps is not None and steps < 2):
        raise UserError("--moments must be at least 1, --seed and --workers at least 0, --steps at least 2")
    loaded = _untrained(run, seed) if untrained else load_run(run)
    results = run / "eval" / "untrained" if untrained else run / "eval"
    options = TaskOptions(data, moments, seed, truth, workers, format, modality, partial)
    for name in dict.fromkeys(task):
        if name == "ablation":
            print(ablation(loaded, data, steps=steps, moments=moments, seed=seed, workers=workers))
            continue
        metrics = TASKS[name](loaded, options)
        stem = name if name not in DOWNSTREAM else f"{name}-{format}-{modality}"
        write_metrics(results / f"{stem}.json", metrics)
        for key, metric in metrics.items():
            print(format_metric(key, metric))
        print(f"results: {results / f'{stem}.json'}", flush=True)


def _avc(run: Run, options: TaskOptions) -> Metrics:
    """AVC-Bin with its controls, and AVC matching."""
    train, test = _pairs(run, options, "train"), _pairs(run, options, "test")
    metrics = {_name("avc_bin", c): avc_bin(train, test, seed=options.seed, control=c) for c in CONTROLS}
    return metrics | {"avc_matching": avc_matching(run, test)}


def _avsa(run: Run, options: TaskOptions) -> Metrics:
    """AVSA-Bin with its controls, and AVSA matching."""
    _require_direction(run)
    train, test = _pairs(run, options, "train"), _pairs(run, options, "test")
    metrics = {_name("avsa_bin", c): avsa_bin(train, test, seed=options.seed, control=c) for c in CONTROLS}
    return metrics | {"avsa_matching": avsa_matching(run, test)}


def _retrieval(run: Run, options: TaskOptions) -> Metrics:
    """Cross-modal retrieval."""
    return retrieval(run, _pairs(run, options, "test"))


def _localisation(run: Run, options: TaskOptions) -> Metrics:
    """Localisation of annotated objects."""
    _require_direction(run)
    path = options.truth or _folder(run, options) / "truth.parquet"
    truth = read_truth(path)
    sources = _collection(run, options, "random").held_out  # directions come from the truth: no detections needed
    with show_progress("localising objects") as progress:
        return localise(run, sources, truth, path, moments=options.moments, progress=progress)


def _linear(run: Run, options: TaskOptions) -> Metrics:
    """Linear probe."""
    return _probe(run, options, "linear")


def _knn(run: Run, options: TaskOptions) -> Metrics:
    """Nearest neighbours."""
    return _probe(run, options, "knn")


def _probe(run: Run, options: TaskOptions, method: Literal["linear", "knn"]) -> Metrics:
    """A classifier on frozen embeddings of the labelled dataset."""
    data = _labelled(options)
    with show_progress(f"embedding {data.name}") as progress:
        embeddings = embed_items(run, data, options.modality, progress)
    return probe(data, embeddings, method, seed=options.seed)


def _finetune(run: Run, options: TaskOptions) -> Metrics:
    """Fine-tuning of one encoder."""
    if options.modality == "both":
        raise UserError("--task finetune trains one encoder: --modality video or audio")
    data = _labelled(options)
    with show_progress(f"fine-tuning on folds of {data.name}") as progress:
        return finetune(run, data, options.modality, seed=options.seed, progress=progress)


TASKS: dict[str, Callable[[Run, TaskOptions], Metrics]] = {
    "avc": _avc,
    "avsa": _avsa,
    "retrieval": _retrieval,
    "localisation": _localisation,
    "linear": _linear,
    "knn": _knn,
    "finetune": _finetune,
}
DOWNSTREAM = ("linear", "knn", "finetune")


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
    data = _folder(run, options)
    prepare_for_crops(data, crops)
    return Collection(data, crops, spatial=run.config.spatial)


def _pairs(run: Run, options: TaskOptions, split: Literal["train", "test"]) -> Pairs:
    """Embeddings of a split, computed once for all tasks."""
    if split not in options.pairs:
        collection = _collection(run, options, run.config.samples.crops)
        with show_progress(f"embedding the {split} clips") as progress:
            options.pairs[split] = embed_pairs(
                run, collection, split, moments=options.moments, seed=options.seed,
                workers=options.workers, progress=progress,
            )  # fmt: skip
    return options.pairs[split]


def _labelled(options: TaskOptions) -> Labelled:
    """The labelled dataset. Raises UserError without --data."""
    if options.data is None:
        raise UserError("--data must name the folder of a labelled dataset, and --format its layout")
    return LOADERS[options.format](options.data, partial=options.partial)


def _require_direction(run: Run) -> None:
    """Raises UserError for a run on mono sound."""
    if run.config.views.audio == "mono":
        raise UserError(f"{run.folder}: mono sound has no direction; use --task avc or retrieval")


def _name(metric: str, control: Control) -> str:
    """Key of a metric under a control."""
    return metric if control == "none" else f"{metric}_{control.replace(' ', '_')}"
