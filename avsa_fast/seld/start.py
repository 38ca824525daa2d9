"""`python -m avsa_fast.seld train`: a detector's folder, its data, training, and scores."""

import json
from pathlib import Path

from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.locks import run_lock
from avsa_fast.models.weights import save_weights
from avsa_fast.run import Run, load_run
from avsa_fast.terminal import printable, say
from avsa_fast.writing import make_folder

from .config import CONFIG, WEIGHTS, DetectorConfig, SeldConfig, load_config, save_config
from .evaluate import evaluate
from .metrics import KEYS
from .model import Detector
from .recordings import Tree, first_minutes, read_tree
from .score import AVERAGES, metric_line
from .training import new_detector, train_detector

METRICS = "metrics.json"


def start(run: Path, data: Path, out: Path, config: SeldConfig, *, resume: bool) -> None:
    """Trains a detector on a run's audio encoder, or the rest of one, and scores it on the held-out recordings.

    Args:
        run: Folder of the run.
        data: Tree of annotated recordings.
        out: Folder of the detector.
        config: How it is trained.
        resume: Whether to continue the training in `out`.

    Raises:
        UserError: The run or the data cannot be used, or `out` has a detector, or to resume, another or none.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; name a folder for the detector")
    loaded = load_run(run)
    try:
        described = DetectorConfig(config, loaded.config.views, loaded.config.model.audio_width)
    except UserError as error:
        raise UserError(f"{run}: {error}") from error
    _check_folder(out, described, resume)
    tree = read_tree(data, config.classes)
    if config.minutes is not None:
        tree = Tree(first_minutes(tree.train, config.minutes, config.seed), tree.held_out)
    make_folder(out)
    with run_lock(out):
        if not resume:
            _check_folder(out, described, resume)  # another process may have started since
            save_config(described, out)
        say(_banner(loaded, data, described, tree))
        detector = new_detector(described, loaded)
        train_detector(detector, tree.train, config, out, resume=resume)
        save_weights(detector, out / WEIGHTS)
        _score(detector, tree, config, out)
    say(f"detector: {out}")


def _check_folder(out: Path, described: DetectorConfig, resume: bool) -> None:
    """Raises UserError if a new training would meet an old one, or a resumed one another."""
    if not resume:
        if (out / CONFIG).exists():
            raise UserError(f"--out {out} already contains a detector; --resume continues it, another --out starts one")
        return
    before = load_config(out)
    for group in ("seld", "views"):
        ours, theirs = vars(getattr(described, group)), vars(getattr(before, group))
        for name in ours:
            if ours[name] != theirs[name]:
                raise UserError(
                    f"{name.replace('_', '-')} {ours[name]} differs from {theirs[name]}, with which {out} was started"
                )
    if described.audio_width != before.audio_width:
        raise UserError(f"{out} was started with another run, whose audio_width is {before.audio_width}")


def _banner(run: Run, data: Path, described: DetectorConfig, tree: Tree) -> str:
    """The line printed at the start."""
    minutes = sum(recording.frames for recording in tree.train) / 600
    return (
        f"encoder of {printable(str(run.folder))} ({described.seld.mode}), device: {run.device}; "
        f"data: {printable(str(data))}: {len(tree.train)} recordings of {minutes:.1f} minutes to train on, "
        f"{len(tree.held_out)} held out"
    )


def _score(detector: Detector, tree: Tree, config: SeldConfig, out: Path) -> None:
    """Scores the detector on the held-out recordings, prints the metrics and writes metrics.json."""
    if not tree.held_out:
        say("no recording is held out (in a folder named like dev-test): no metrics")
        return
    results = evaluate(detector, tree.held_out, config)
    write_text(out / METRICS, json.dumps(results, indent=2) + "\n")
    for average in AVERAGES:
        for key in KEYS[results["edition"]]:
            say(metric_line(average, key, results[average][key]))
