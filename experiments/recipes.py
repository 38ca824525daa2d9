"""Ablation of changes to the paper's training recipe: each change alone, on the same scenes and seeds as the baseline.

    python experiments/recipes.py OUT                            # the built-in procedural scenes
    python experiments/recipes.py OUT --data DIR --steps 400 --seeds 0 1 2

It can be interrupted and restarted: finished runs in OUT are reused. Metrics are computed on held-out clips at the end
of each run.
"""

import json
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from tyro.conf import Positional

from avsa_fast.command import run_command
from avsa_fast.scenes.cache import embedded_default
from avsa_fast.train.cli import main as train

HELD_OUT = 384  # samples per evaluation; keeps the standard deviation of an accuracy below 3 points
# Changes of the configuration, by the recipe's name.
RECIPES: dict[str, dict[str, Any]] = {
    "preset tiny": {},
    "cosine schedule, warm-up 0.1": {"schedule": "cosine", "warmup": 0.1},
    "learned temperature": {"learn_temperature": True},
    "2 moments of a clip": {"samples": {"moments": 2}},
    "joint negatives": {"negatives": "joint"},
    "8 views": {"samples": {"views": 8}},
}
METRICS = {"AVC matching": "avc_matching", "AVSA matching": "avsa_matching"}  # keys of metrics.json, by title


def main(
    out: Positional[Path],
    data: Path | None = None,
    steps: int = 160,
    seeds: tuple[int, ...] = (0, 1),
    workers: int = 2,
) -> None:
    """Trains every recipe with every seed and prints the table.

    Args:
        out: Folder of the runs and of table.md.
        data: Dataset folder. Default: the built-in procedural scenes.
        steps: Steps per run; few enough that the baseline does not saturate.
        seeds: Seeds of weights, samples and augmentation.
        workers: Processes that decode media.
    """
    data = data or embedded_default()
    out.mkdir(parents=True, exist_ok=True)
    for name, changes in RECIPES.items():
        config = out / f"{_folder_name(name)}.yaml"
        config.write_text(yaml.safe_dump({"held_out_samples": HELD_OUT, "evaluate_every": 10 * steps} | changes))
        for seed in seeds:
            run = out / f"{_folder_name(name)}-{seed}"
            if (run / "metrics.json").exists():
                continue
            if (run / "config.yaml").exists():
                train(out=run, resume=True, workers=workers)
            else:
                train(data=data, out=run, preset="tiny", steps=steps, seed=seed, config=config, workers=workers)
    table = _markdown(out, seeds)
    (out / "table.md").write_text(table, encoding="utf-8")
    print(table)


def _folder_name(name: str) -> str:
    """Returns the folder name of a recipe."""
    return name.replace(",", "").replace(" ", "-")


def _markdown(out: Path, seeds: tuple[int, ...]) -> str:
    """Formats the table: one row per recipe, with each metric's mean over the seeds and its value per seed."""
    lines = ["| recipe | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    for name in RECIPES:
        runs = [json.loads((out / f"{_folder_name(name)}-{seed}" / "metrics.json").read_text()) for seed in seeds]
        cells = []
        for key in METRICS.values():
            values = [100 * metrics[key]["value"] for metrics in runs]
            chance = 100 * runs[0][key]["chance"]
            cells.append(f"{mean(values):.1f} ({', '.join(f'{value:.1f}' for value in values)}; chance {chance:.1f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_command(main, "recipes", "python experiments/recipes.py")
