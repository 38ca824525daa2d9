"""Training curves of a run, from its log.jsonl."""

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from avsa_fast.errors import UserError

MAX_POINTS = 600  # maximum number of points per curve; neighbouring steps are averaged beyond that
# Titles of the log's fields on the page; other fields are titled by their name.
TITLES = {
    "loss": "Loss",
    "lr": "Learning rate",
    "clips_per_second": "Clips per second",
    "data_wait": "Share of a step spent waiting for data",
}


def read_curves(run: Path) -> list[dict[str, Any]]:
    """Reads every numeric field of log.jsonl as a curve over the steps, with one trace per stage.

    Steps count over both stages. Traces of more than MAX_POINTS steps are averaged. An incomplete last line is ignored.

    Args:
        run: Folder of the run.

    Returns:
        Curves, each {title, traces: [{name, x, y}]}.

    Raises:
        UserError: If the log is missing or malformed.
    """
    path = run / "log.jsonl"
    series: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break
                fields = json.loads(line)
                for name, value in fields.items():
                    if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                        series[name][str(fields.get("stage", ""))].append((int(fields["step"]), float(value)))
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"{path}: not a run's log: {error}") from error
    return [
        {
            "title": TITLES.get(name, name.replace("_", " ").capitalize()),
            "traces": [{"name": stage.upper(), **_averaged(points)} for stage, points in stages.items()],
        }
        for name, stages in series.items()
        if any(len(points) > 1 for points in stages.values())
    ]


def _averaged(points: list[tuple[int, float]]) -> dict[str, list[float]]:
    """Steps x and values y, averaged to at most MAX_POINTS; values that are not finite are ignored."""
    points = [(step, value) for step, value in points if math.isfinite(value)]
    size = max(1, math.ceil(len(points) / MAX_POINTS))
    groups = [points[begin : begin + size] for begin in range(0, len(points), size)]
    return {
        "x": [group[-1][0] for group in groups],
        "y": [float(f"{sum(value for _, value in group) / len(group):.5g}") for group in groups],
    }
