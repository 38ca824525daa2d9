"""Detectors of sound events with few labels: on a run's audio encoder, fine-tuned or frozen, against random weights.

    python experiments/few_labels.py RUN OUT                           # procedural scenes
    python experiments/few_labels.py RUN OUT --data STARSS23

It can be interrupted and restarted: finished detectors in OUT are reused. Each has its scores in OUT/NAME/metrics.json.
"""

import json
from itertools import product
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any, get_args

from scipy.stats import t as student_t
from tyro.conf import Positional

from avsa_fast.choices import SeldMode
from avsa_fast.command import run_command
from avsa_fast.files import write_text
from avsa_fast.progress import show_progress
from avsa_fast.scenes.build import build_scenes
from avsa_fast.scenes.scene import Material
from avsa_fast.seld.config import CONFIG, SeldConfig
from avsa_fast.seld.start import METRICS, start
from avsa_fast.writing import make_folder

COUNT, SECONDS, SEED = 26, 60, 0  # of the procedural scenes: 21 minutes to train on
KEYS = {"F20°, %": ("f_score", 100), "angular error, °": ("angular_error", 1), "SELD score": ("seld_score", 1)}
MODES: tuple[SeldMode, ...] = get_args(SeldMode)


def main(
    run: Positional[Path],
    out: Positional[Path],
    data: Path | None = None,
    classes: int | None = None,
    minutes: tuple[float, ...] = (5, 20),
    seeds: tuple[int, ...] = (0, 1, 2),
    steps: int = 1000,
    batch: int = 8,
) -> None:
    """Trains a detector for each number of minutes, mode and seed, and prints the table.

    Args:
        run: Folder of a training run.
        out: Folder of the detectors and of table.md.
        data: Tree like STARSS23's. Default: procedural scenes, rendered in OUT/scenes.
        classes: Number of classes. Default: that of the procedural scenes.
        minutes: Minutes of labelled sound.
        seeds: Seeds of weights, selection of recordings, excerpts and augmentation.
        steps: Steps per detector.
        batch: Excerpts per step.
    """
    make_folder(out)
    tree, classes = data or out / "scenes", classes or len(Material().classes)
    if data is None and not tree.exists():
        with show_progress("rendering scenes") as progress:
            build_scenes(tree, count=COUNT, seconds=SECONDS, seed=SEED, format="starss", progress=progress)
    for length, mode, seed in product(minutes, MODES, seeds):
        folder = out / name_of(length, mode, seed)
        if not (folder / METRICS).exists():
            config = SeldConfig(mode, classes=classes, minutes=length, steps=steps, batch=batch, seed=seed)
            start(run, tree, folder, config, resume=(folder / CONFIG).exists())
    table = markdown(out, minutes, seeds)
    write_text(out / "table.md", table)
    print(table)


def name_of(minutes: float, mode: str, seed: int) -> str:
    """Name of a detector's folder."""
    return f"{minutes:g}-minutes-{mode}-{seed}"


def markdown(out: Path, minutes: tuple[float, ...], seeds: tuple[int, ...]) -> str:
    """Formats the table: means over the seeds, each seed's value, and differences to the same seed from scratch."""
    lines = ["| minutes | encoder | " + " | ".join(KEYS) + " |", "|---" * (len(KEYS) + 2) + "|"]
    for length, mode in product(minutes, MODES):
        cells = []
        for key, factor in KEYS.values():
            values, controls = (
                [factor * _value(out / name_of(length, encoder, seed), key) for seed in seeds]
                for encoder in (mode, "scratch")
            )
            cell = f"{mean(values):.4g} ({', '.join(f'{value:.4g}' for value in values)})"
            if mode != "scratch":
                cell += f"; {paired([a - b for a, b in zip(values, controls, strict=True)])}"
            cells.append(cell)
        lines.append(f"| {length:g} | {mode} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def paired(differences: list[float]) -> str:
    """Mean of paired differences, and its 95 % interval by Student's t if there are at least two."""
    if len(differences) < 2:
        return f"{differences[0]:+.3g}"
    n = len(differences)
    reach = float(student_t.ppf(0.975, n - 1)) * stdev(differences) / sqrt(n)
    middle = mean(differences)
    return f"{middle:+.3g} [{middle - reach:+.3g}, {middle + reach:+.3g}]"


def _value(folder: Path, key: str) -> float:
    """A metric's micro average; an angular error that is not defined, since nothing was matched, is 180°."""
    metrics: dict[str, Any] = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    value = metrics["micro"][key]["value"]
    return 180.0 if value is None else float(value)


if __name__ == "__main__":
    run_command(main, "few_labels", "python experiments/few_labels.py")
