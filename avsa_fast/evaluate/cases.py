"""RUN/eval/TASK.json and RUN/eval/cases/TASK.json: metrics, and their cases, by which runs are compared."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avsa_fast.errors import UserError
from avsa_fast.files import write_text
from avsa_fast.writing import make_subfolder

from .metric_files import check_metric, number_of, read_metrics_file
from .metrics import Cases, Metric


def write_scores(folder: Path, task: str, scores: Mapping[str, Cases]) -> dict[str, Metric]:
    """Writes TASK.json, the metrics, and cases/TASK.json, their cases averaged over trials.

    Args:
        folder: Existing folder.
        task: Name of the task.
        scores: Cases by name of the metric.

    Returns:
        The metrics by name.

    Raises:
        WriteError: A file cannot be written.
    """
    metrics = {name: cases.metric() for name, cases in scores.items()}
    content = {
        name: {
            "values": np.asarray(cases.values, np.float64).mean(axis=0).tolist(), "groups": list(cases.groups),
            "chance": cases.chance, "statistic": cases.statistic,
        }
        for name, cases in scores.items()
    }  # fmt: skip
    write_text(make_subfolder(folder, "cases") / f"{task}.json", json.dumps(content) + "\n")
    write_text(folder / f"{task}.json", json.dumps(metrics, indent=2) + "\n")
    return metrics


def read_cases(path: Path) -> dict[str, Cases]:
    """Reads the cases that `write_scores` wrote.

    Args:
        path: The file.

    Returns:
        Cases by name of the metric, with one trial.

    Raises:
        UserError: The file is missing or malformed, or a number is not possible.
    """
    content = read_metrics_file(path)
    if not isinstance(content, dict):
        raise _malformed(path)
    return {name: _cases(path, name, fields) for name, fields in content.items()}


def _cases(path: Path, name: str, fields: Any) -> Cases:
    """One metric's cases, after checking them."""
    if not isinstance(fields, dict):
        raise _malformed(path)
    values, groups, statistic = (fields.get(key) for key in ("values", "groups", "statistic"))
    if not isinstance(values, list) or not isinstance(groups, list) or not len(values) == len(groups) > 0:
        raise _malformed(path)
    if statistic not in ("mean", "median") or not all(isinstance(group, str) for group in groups):
        raise _malformed(path)
    numbers = [number_of(value) for value in values]
    for number in numbers:
        if number is None:
            raise _malformed(path)
        check_metric(path, (name,), {"value": number})
    return Cases(np.array([numbers], np.float64), groups, number_of(fields.get("chance")), statistic)


def _malformed(path: Path) -> UserError:
    return UserError(f"{path}: not the cases of an evaluation; remove it, and evaluate again")
