"""Ablations on the user's dataset: the grid of Wang et al. 2022 (tables I and II), and other parts of the method.

Each row is trained with several seeds and scored by the same evaluation. Each training is a run of its own in
RUN/ablation/ROW/SEED; those that are already trained or scored are skipped, and interrupted ones are resumed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch

from avsa_fast.config import Config, config_text, save_config
from avsa_fast.data.samples import Collection, CropChoice
from avsa_fast.data.tables import INDEX, read_table
from avsa_fast.data.views import AUDIO_CHANNELS, AudioView
from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.models import Model
from avsa_fast.models.weights import save_weights
from avsa_fast.prepare import prepare_for_crops
from avsa_fast.run import Run, load_run
from avsa_fast.terminal import say
from avsa_fast.train.loop import Trainer
from avsa_fast.writing import make_subfolder

from .cases import read_cases, write_scores
from .compare import Method, comparison
from .metrics import Cases
from .scores import EmbeddedPairs, avc_scores, avsa_scores, localisation_scores
from .truth import read_truth

MAX_DEVIATION = 0.1  # maximum |E_xyz / E_w - 1| of sound that counts as fully ambisonic
TITLES: dict[AudioView, str] = {
    "foa_iv": "FOA + FOA-IV", "foa": "FOA", "stereo": "stereo", "stereo_icf": "stereo + ICF", "beamform": "beamform",
    "mono": "mono",
}  # fmt: skip
COLUMNS = (
    "avc_bin", "avsa_bin", "avsa_bin_swapped", "avc_matching", "avsa_matching", "which_object", "accuracy_20_degrees",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the ablation.

    Attributes:
        name: Name of its folder below RUN/ablation, by which the command selects it.
        title: Its title in the table.
        change: Makes its configuration from that of the run.
        valid_only: Whether it trains on spatially valid clips only.
        trained: Whether it trains at all; otherwise its weights are random.
    """

    name: str
    title: str
    change: Callable[[Config], Config]
    valid_only: bool = False
    trained: bool = True


def _sound(audio: AudioView, crops: CropChoice) -> Callable[[Config], Config]:
    """Sets the sound representation and the crops. Mono sound has no direction, so it skips the AVSA stage."""

    def change(config: Config) -> Config:
        return replace(
            config,
            views=replace(config.views, audio=audio),
            model=replace(config.model, audio_channels=AUDIO_CHANNELS[audio]),
            samples=replace(config.samples, crops=crops),
            stages="avc" if audio == "mono" else "both",
        )

    return change


BASE = Row("base", "as the run", lambda config: config)
ROWS = (
    BASE,
    *(
        Row(f"{audio}-{crops}", f"{title}, {'objects' if crops == 'yolo' else 'random crops'}", _sound(audio, crops))
        for audio, title in TITLES.items()
        for crops in get_args(CropChoice)
    ),
    Row("valid", "FOA + FOA-IV, random crops, spatially valid clips", _sound("foa_iv", "random"), valid_only=True),
    Row("untrained", "untrained", lambda config: config, trained=False),
    Row("avc-only", "only AVC", lambda config: replace(config, stages="avc")),
    Row("avsa-only", "only AVSA", lambda config: replace(config, avc_share=0.0)),
    Row(
        "no-transformers", "AVSA without transformers",
        lambda config: replace(config, model=replace(config.model, transformer_depth=0)),
    ),
    Row("1-crop", "AVSA with 1 crop", lambda config: replace(config, samples=replace(config.samples, views=1))),
    Row("8-crops", "AVSA with 8 crops", lambda config: replace(config, samples=replace(config.samples, views=8))),
    Row("joint-negatives", "negatives of the same clip or crop number", lambda c: replace(c, negatives="joint")),
)  # fmt: skip


def select_rows(names: Sequence[str]) -> list[Row]:
    """Selects rows by name.

    Args:
        names: Names of rows; none: all.

    Returns:
        The rows, the one of the run itself first.

    Raises:
        UserError: There is no row of a name.
    """
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--rows {unknown[0]}: no such row of the ablation; there are {', '.join(known)}")
    return [row for row in ROWS if not names or row.name in names or row is BASE]


def ablation(
    run: Run, data: Path | None, *, rows: Sequence[Row], seeds: int, steps: int | None, moments: int, seed: int,
    classifiers: int, workers: int,
) -> str:  # fmt: skip
    """Trains and scores what is missing of some rows, each with the configuration of `run` but for its change.

    Writes each run's metrics to RUN/ablation/ROW/SEED/eval/ablation.json and the table to RUN/eval/ablation.md.

    Args:
        run: Run that provides the base configuration, the device and the output folder.
        data: Dataset folder; None: the run's own.
        rows: Rows of the table; the others are compared with the first one.
        seeds: Number of trainings per row, with the seeds `seed`, `seed` + 1, ...
        steps: Training steps per run; None: the run's.
        moments: Evenly spaced samples per clip to score on.
        seed: First seed of training, and seed of scoring.
        classifiers: Classifiers per metric.
        workers: Worker processes that decode media.

    Returns:
        The table as Markdown.

    Raises:
        UserError: If an unfinished run was started with another configuration, or no clip is spatially valid.
    """
    folder = (data or Path(run.config.data)).resolve()
    base = replace(run.config, data=str(folder), steps=steps or run.config.steps)
    trainings = [(row, row.change(replace(base, seed=seed + number))) for number in range(seeds) for row in rows]
    crops: CropChoice = "yolo" if any(config.samples.crops == "yolo" for _, config in trainings) else "random"
    prepare_for_crops(folder, crops, named=data is not None)
    methods = {row.name: Method(row.title, {}) for row in rows}
    for number, (row, config) in enumerate(trainings, start=1):
        path = make_subfolder(run.folder, "ablation", row.name, str(config.seed))
        if not (path / "eval" / "cases" / "ablation.json").exists():
            say(f"{number}/{len(trainings)}: {row.title}, seed {config.seed}")
            _train(path, config, row, run, workers)
            scores = _scores(path, config, run, moments=moments, seed=seed, classifiers=classifiers, workers=workers)
            write_scores(make_subfolder(path, "eval"), "ablation", scores)
        cases = read_cases(path / "eval" / "cases" / "ablation.json")
        methods[row.name].runs[config.seed] = {name: cases[name] for name in COLUMNS if name in cases}
    text = comparison(list(methods.values()))
    write_text(make_subfolder(run.folder, "eval") / "ablation.md", text)
    return text


def _scores(
    path: Path, config: Config, run: Run, *, moments: int, seed: int, classifiers: int, workers: int
) -> dict[str, Cases]:
    """Scores a trained run."""
    data = Path(config.data)
    trained = load_run(path, run.device)
    pairs = EmbeddedPairs(
        trained, data, lambda crops: Collection(data, crops), moments=moments, seed=seed, classifiers=classifiers,
        workers=workers,
    )  # fmt: skip
    scores = avc_scores(pairs)
    if config.views.audio != "mono":
        scores |= avsa_scores(pairs)
        truth = data / "truth.parquet"
        if truth.exists():
            scores |= localisation_scores(pairs, read_truth(truth), truth)
    return scores


def _train(path: Path, config: Config, row: Row, run: Run, workers: int) -> None:
    """Trains a run, resuming from its last checkpoint if there is one."""
    existing = path / "config.yaml"
    if (path / "weights.safetensors").exists():
        return
    if not row.trained:
        torch.manual_seed(config.seed)
        save_config(config, existing)
        save_weights(Model(config.model), path / "weights.safetensors")
        return
    collection = Collection(Path(config.data), config.samples.crops)
    if row.valid_only:
        valid = _valid_clips(Path(config.data))
        collection.train = [source for source in collection.train if source.name in valid]
        if not valid:
            raise UserError(f"{config.data}: no training clip is spatially valid; leave out --rows {row.name}")
    started = existing.exists()
    if started and existing.read_text(encoding="utf-8") != config_text(config):
        raise UserError(f"{path} was started with another configuration; remove it to train it again")
    save_config(config, existing)
    Trainer(config, collection, path, run.device, workers).train(resume=started)


def _valid_clips(data: Path) -> set[str]:
    """Names of the training clips whose sound is fully ambisonic, judged by its spatial validity."""
    rows = read_table(data / "index.parquet", INDEX)
    return {
        row["name"]
        for row in rows
        if row["split"] == "train"
        and row["spatial_validity"] is not None
        and abs(row["spatial_validity"] - 1) <= MAX_DEVIATION
    }
