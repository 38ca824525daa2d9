"""python -m avsa_fast.evaluate RUN --task …: what a run's embeddings can do."""

from pathlib import Path
from typing import Annotated, Literal

import torch
from tyro.conf import Positional, arg

from avsa_fast.data.samples import Collection
from avsa_fast.errors import UserError, run_command
from avsa_fast.models import Model
from avsa_fast.progress import show_progress

from .figures import Figure, line, write_figures
from .localisation import localise
from .pairs import Pairs, embed_pairs
from .pretext import avc_bin, avc_matching, avsa_bin, avsa_matching, retrieval
from .run import Run, load_run, run_of
from .truth import read_truth

Task = Literal["avc", "avsa", "retrieval", "localisation"]


def main(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="Folder of a run that train made.")],
    task: Annotated[tuple[Task, ...], arg(help="What to score; several may be named.")],
    data: Path | None = None,
    moments: int = 4,
    seed: int = 0,
    truth: Path | None = None,
    untrained: bool = False,
    workers: int = 2,
) -> None:
    """Scores a run; each figure has a 95 % interval (bootstrap over clips) and its chance. Results: RUN/eval/TASK.json.

    avc and avsa train a classifier on frozen embeddings of the training clips (AVC-Bin, AVSA-Bin) and test it, and
    matching, on the held-out clips; retrieval finds the sounds of pictures and the pictures of sounds among them;
    localisation finds the direction that the sound of an object comes from.

    Args:
        data: Dataset folder with index.parquet; other than the run's own, all of its figures come from there.
        moments: Samples of each clip, evenly spaced.
        seed: Of the classifiers, of negatives and of directions without an object.
        truth: Where objects are: truth.parquet or a folder of STARSS-style NAME.csv. Default: the dataset's.
        untrained: Random weights in place of the run's, as a control; results go to RUN/eval/untrained.
        workers: Processes that decode media.
    """
    if moments < 1 or seed < 0 or workers < 0:
        raise UserError("--moments must be at least 1, --seed and --workers at least 0")
    chosen = _untrained(run, seed) if untrained else load_run(run)
    folder = data or Path(chosen.config.data)
    collection = Collection(folder, chosen.config.samples.crops, spatial=chosen.config.spatial)
    results = run / "eval" / "untrained" if untrained else run / "eval"
    pairs: dict[str, Pairs] = {}

    def embedded(split: Literal["train", "test"]) -> Pairs:
        if split not in pairs:
            with show_progress(f"embedding the {split} clips") as progress:
                pairs[split] = embed_pairs(
                    chosen, collection, split, moments=moments, seed=seed, workers=workers, progress=progress
                )
        return pairs[split]

    for name in dict.fromkeys(task):
        if name == "avc":
            figures = {
                "avc_bin": avc_bin(embedded("train"), embedded("test"), seed=seed),
                "avc_bin_shuffled_labels": avc_bin(
                    embedded("train"), embedded("test"), seed=seed, control="shuffled labels"
                ),
                "avc_bin_sound_alone": avc_bin(embedded("train"), embedded("test"), seed=seed, control="sound alone"),
                "avc_matching": avc_matching(chosen, embedded("test")),
            }
        elif name == "avsa":
            _needs_direction(chosen)
            figures = {
                "avsa_bin": avsa_bin(embedded("train"), embedded("test"), seed=seed),
                "avsa_bin_shuffled_labels": avsa_bin(
                    embedded("train"), embedded("test"), seed=seed, control="shuffled labels"
                ),
                "avsa_bin_sound_alone": avsa_bin(embedded("train"), embedded("test"), seed=seed, control="sound alone"),
                "avsa_matching": avsa_matching(chosen, embedded("test")),
            }
        elif name == "retrieval":
            figures = retrieval(chosen, embedded("test"))
        else:
            _needs_direction(chosen)
            where = truth or folder / "truth.parquet"
            with show_progress("localising objects") as progress:
                figures = localise(
                    chosen, collection.held_out, read_truth(where), where, moments=moments, progress=progress
                )
        _report(results / f"{name}.json", figures)


def _untrained(folder: Path, seed: int) -> Run:
    """The run as it was before its first step, but for the seed."""
    run = load_run(folder)
    torch.manual_seed(seed)
    return run_of(folder, run.config, Model(run.config.model), run.device)


def _needs_direction(run: Run) -> None:
    if run.config.views.audio == "mono":
        raise UserError(f"{run.folder}: a run on mono sound hears no direction; --task avc and retrieval can score it")


def _report(path: Path, figures: dict[str, Figure]) -> None:
    write_figures(path, figures)
    for name, figure in figures.items():
        print(line(name, figure))
    print(f"results: {path}", flush=True)


if __name__ == "__main__":
    run_command(main, "evaluate")
