"""Ablation grid of Wang et al. 2022 (tables I and II) on the user's dataset.

Trains and scores every audio representation with random crops and with object crops. Each row is a separate run in
RUN/ablation; rows that are already trained or scored are skipped, and interrupted ones are resumed.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from avsa_fast.config import Config, config_text, save_config
from avsa_fast.data.samples import Collection, CropChoice
from avsa_fast.data.tables import INDEX, read_table
from avsa_fast.data.views import AUDIO_CHANNELS, AudioView
from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.prepare import prepare_for_crops
from avsa_fast.run import Run, load_run
from avsa_fast.terminal import say
from avsa_fast.train.loop import Trainer
from avsa_fast.writing import make_subfolder

from .metric_files import check_metric, number_of, read_metrics_file
from .metrics import Metric, write_metrics
from .pairs import embed_pairs
from .pretext import avc_bin, avc_matching, avsa_bin, avsa_matching

MAX_DEVIATION = 0.1  # maximum |E_xyz / E_w - 1| of sound that counts as fully ambisonic
TITLES: dict[AudioView, str] = {
    "foa_iv": "FOA + FOA-IV", "foa": "FOA", "stereo": "stereo", "stereo_icf": "stereo + ICF", "beamform": "beamform",
    "mono": "mono",
}  # fmt: skip
COLUMNS = {"avc_bin": "AVC", "avsa_bin": "AVSA", "avc_matching": "AVC matching", "avsa_matching": "AVSA matching"}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        audio: Sound representation of its run.
        crops: Crop directions of its run.
        valid_only: Whether it trains on spatially valid clips only.
    """

    audio: AudioView
    crops: CropChoice
    valid_only: bool = False

    @property
    def name(self) -> str:
        """Name of the row's folder below RUN/ablation."""
        return f"{self.audio}-{self.crops}" + ("-valid" if self.valid_only else "")


TABLE_1 = [Row("foa_iv", "random"), Row("foa_iv", "random", valid_only=True)]
TABLE_2 = [Row(audio, crops) for audio in get_args(AudioView) for crops in get_args(CropChoice)]


def ablation(run: Run, data: Path | None, *, steps: int | None, moments: int, seed: int, workers: int) -> str:
    """Trains and scores the missing rows, each with the configuration of `run` except for the row's own settings.

    Writes each row's metrics to RUN/ablation/NAME/eval/ablation.json and the tables to RUN/eval/ablation.md.

    Args:
        run: Run that provides the base configuration, the device and the output folder.
        data: Dataset folder; None: the run's own.
        steps: Training steps per row; None: the run's.
        moments: Evenly spaced samples per clip to score on.
        seed: Seed of training and scoring.
        workers: Worker processes that decode media.

    Returns:
        Both tables as Markdown.

    Raises:
        UserError: If an unfinished row was started with another configuration.
    """
    folder = (data or Path(run.config.data)).resolve()
    crops: CropChoice = "yolo" if any(row.crops == "yolo" for row in TABLE_1 + TABLE_2) else "random"
    prepare_for_crops(folder, crops, named=data is not None)
    base = replace(run.config, data=str(folder), seed=seed, steps=steps or run.config.steps, stages="both")
    rows = list(dict.fromkeys(TABLE_2 + [row for row in TABLE_1 if not row.valid_only or _valid_clips(folder)]))
    for number, row in enumerate(rows, start=1):
        path = make_subfolder(run.folder, "ablation", row.name)
        if not (path / "eval" / "ablation.json").exists():
            say(f"{number}/{len(rows)}: {row.name}")
            config = _config(base, row)
            metrics = _row(path, config, row, run, moments, workers)
            write_metrics(make_subfolder(path, "eval") / "ablation.json", metrics)
    text = _tables(run.folder, rows)
    write_text(make_subfolder(run.folder, "eval") / "ablation.md", text)
    return text


def _config(base: Config, row: Row) -> Config:
    """Configuration of a row. Mono sound has no direction, so it skips the AVSA stage."""
    return replace(
        base,
        views=replace(base.views, audio=row.audio),
        model=replace(base.model, audio_channels=AUDIO_CHANNELS[row.audio]),
        samples=replace(base.samples, crops=row.crops),
        stages="avc" if row.audio == "mono" else "both",
    )


def _row(path: Path, config: Config, row: Row, run: Run, moments: int, workers: int) -> dict[str, Metric]:
    """Trains one row and returns its metrics."""
    collection = Collection(Path(config.data), config.samples.crops)
    if row.valid_only:
        valid = _valid_clips(Path(config.data))
        collection.train = [source for source in collection.train if source.name in valid]
    _train(path, config, collection, run, workers)
    trained = load_run(path, run.device)
    train, test = (
        embed_pairs(trained, collection, split, moments=moments, seed=config.seed, workers=workers)
        for split in ("train", "test")
    )
    metrics = {"avc_bin": avc_bin(train, test, seed=config.seed), "avc_matching": avc_matching(trained, test)}
    if row.audio == "mono":
        return metrics
    metrics["avsa_bin"] = avsa_bin(train, test, seed=config.seed)
    return metrics | {"avsa_matching": avsa_matching(trained, test)}


def _train(path: Path, config: Config, collection: Collection, run: Run, workers: int) -> None:
    """Trains a row, resuming from its last checkpoint if there is one."""
    existing = path / "config.yaml"
    if (path / "weights.safetensors").exists():
        return
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


def _tables(folder: Path, rows: list[Row]) -> str:
    """Both tables as Markdown."""
    table_1 = [(("spatially valid clips" if row.valid_only else "all clips"), row) for row in TABLE_1 if row in rows]
    table_2 = [(f"{TITLES[row.audio]}, {'objects' if row.crops == 'yolo' else 'random crops'}", row) for row in TABLE_2]
    return (
        "Trained on (FOA + FOA-IV, random crops):\n\n" + _markdown(folder, table_1)
        + "\nSound and crops:\n\n" + _markdown(folder, table_2)
    )  # fmt: skip


def _markdown(folder: Path, rows: list[tuple[str, Row]]) -> str:
    """Markdown table of (title, row) pairs, read from the rows' ablation.json."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for title, row in rows:
        path = folder / "ablation" / row.name / "eval" / "ablation.json"
        metrics = read_metrics_file(path)
        lines.append(f"| {title} | " + " | ".join(_cell(path, key, metrics) for key in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def _cell(path: Path, name: str, metrics: Any) -> str:
    """A metric of a file in per cent with its interval; a dash if the file lacks it."""
    fields = metrics.get(name) if isinstance(metrics, dict) else None
    if not isinstance(fields, dict):
        return "–"
    check_metric(path, (name,), fields)
    value, low, high = (number_of(fields.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return "–"
    return (
        f"{100 * value:.1f}"
        if low is None or high is None
        else f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    )
