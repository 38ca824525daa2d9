"""Training curves of a run, from its log.jsonl."""

import json
import math
from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any

from avsa_fast.errors import UserError

MAX_LINE, MAX_CURVES, MAX_STEPS, MAX_STAGE = 100_000, 100, 10**8, 100  # bytes, fields, steps, characters
MAX_VALUE = 1e30
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
        UserError: If the log is missing or a line of it is damaged; the message names the line.
    """
    path = run / "log.jsonl"
    series: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    try:
        with path.open("rb") as file:
            for number in count(1):
                line = file.readline(MAX_LINE + 1)
                if not line.endswith(b"\n") and len(line) <= MAX_LINE:
                    break
                step, stage, values = _fields(path, number, line)
                for name, value in values.items():
                    series[name][stage].append((step, value))
                if len(series) > MAX_CURVES or number > MAX_STEPS:
                    raise UserError(f"{path}, line {number}: more than {MAX_CURVES} curves or {MAX_STEPS} steps")
    except OSError as error:
        raise UserError(f"{path}: not a run's log: {error.strerror}") from error
    return [
        {
            "title": TITLES.get(name, name.replace("_", " ").capitalize()),
            "traces": [{"name": stage.upper(), **_averaged(points)} for stage, points in stages.items()],
        }
        for name, stages in series.items()
        if any(len(points) > 1 for points in stages.values())
    ]


def _fields(path: Path, number: int, line: bytes) -> tuple[int, str, dict[str, float]]:
    """Step, stage and finite or infinite numbers of a line; raises UserError, which names it, if it is damaged."""
    try:
        fields: Any = json.loads(line) if len(line) <= MAX_LINE else None
        step, stage = fields["step"], fields.get("stage", "")
        numbers = {name: value for name, value in fields.items() if isinstance(value, int | float)}
        values = {
            name: float(value) for name, value in numbers.items() if name != "step" and not isinstance(value, bool)
        }
        if isinstance(step, int) and 0 < step <= MAX_STEPS and isinstance(stage, str) and len(stage) < MAX_STAGE:
            return step, stage, values
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        pass
    raise UserError(f"{path}, line {number}: damaged: expected an object with step, stage and numbers; remove the line")


def _averaged(points: list[tuple[int, float]]) -> dict[str, list[float]]:
    """Steps x and values y, averaged to at most MAX_POINTS; NaN and values beyond MAX_VALUE are ignored."""
    points = [(step, value) for step, value in points if abs(value) <= MAX_VALUE]
    size = max(1, math.ceil(len(points) / MAX_POINTS))
    groups = [points[begin : begin + size] for begin in range(0, len(points), size)]
    return {
        "x": [group[-1][0] for group in groups],
        "y": [float(f"{sum(value for _, value in group) / len(group):.5g}") for group in groups],
    }
