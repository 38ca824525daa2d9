"""Draws docs/training.png from a run's log.jsonl: python docs/training_figure.py RUN"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

COLUMNS = (("loss", "accuracy"), ("gradient_norm", "collapse"), ("data_wait", "views"))
TITLES = {
    "loss": "loss (InfoNCE of 32 rows)",
    "accuracy": "accuracy of matching, in the batch",
    "gradient_norm": "gradient norm",
    "collapse": "collapse (1: all embeddings are the same)",
    "data_wait": "share of a step waiting for data",
    "views": "share of a step making views",
}
WINDOW = 5  # steps that a drawn point is the mean of


def main(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    figure, axes = plt.subplots(2, 3, figsize=(11, 5.2), layout="constrained")
    for column, names in enumerate(COLUMNS):
        for row, name in enumerate(names):
            axis = axes[row, column]
            for stage, colour in (("avc", "tab:blue"), ("avsa", "tab:orange")):
                of_stage = [line for line in lines if line["stage"] == stage]
                parts = [of_stage[i : i + WINDOW] for i in range(0, len(of_stage), WINDOW)]
                means = [sum(line[name] for line in part) / len(part) for part in parts]
                axis.plot([part[-1]["step"] for part in parts], means, color=colour, label=stage.upper())
            if name == "accuracy":
                held = [(line["step"], line["validation"]) for line in lines if "validation" in line]
                axis.plot(*zip(*held, strict=True), "k^", label="held out")
            axis.set_title(TITLES[name], fontsize=10)
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
    axes[1, 0].legend(fontsize=9)
    for axis in axes[1]:
        axis.set_xlabel("step")
    figure.savefig(Path(__file__).with_name("training.png"), dpi=100)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
