"""`evaluate RUN --compare RUN …`: a table of runs with paired differences.

Runs whose configurations differ only in their seed are one row. Each row is compared with the first one, case by case
and seed by seed; "better" or "worse" is only said if the interval of the difference excludes 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avsa_fast.config import Config, config_text, load_config
from avsa_fast.errors import UserError

from .cases import read_cases
from .metric_formats import format_of
from .metrics import Cases
from .uncertainty import Interval, interval


@dataclass
class Method:
    """Runs that differ only in their seed.

    Attributes:
        title: Names of the runs' folders.
        runs: Cases by metric, by the runs' seeds.
    """

    title: str
    runs: dict[int, dict[str, Cases]]


def compare(folders: Sequence[Path]) -> str:
    """Compares evaluated runs.

    Args:
        folders: Folders of the runs. The rows of the table have their order.

    Returns:
        The table of `comparison`.

    Raises:
        UserError: A run is not evaluated, the runs have no metric in common or were evaluated on different cases, or
            two have the same configuration and seed.
    """
    rows: dict[str, Method] = {}
    for folder in folders:
        config = load_config(folder / "config.yaml")
        row = rows.setdefault(_method(config), Method(folder.name, {}))
        if row.runs:
            row.title += f", {folder.name}"
        if config.seed in row.runs:
            raise UserError(f"{folder}: the same configuration and seed as another run that was named")
        row.runs[config.seed] = _evaluated(folder)
    runs = [run for row in rows.values() for run in row.runs.values()]
    if not runs[0].keys() & set.intersection(*(set(run) for run in runs)):
        raise UserError("the runs have no metric in common; evaluate each with the same --task")
    return comparison(list(rows.values()))


def comparison(methods: Sequence[Method]) -> str:
    """Makes a table of methods, and of the paired differences of all others to the first.

    Args:
        methods: The methods, evaluated on the same cases.

    Returns:
        The table as Markdown, of the metrics that the first method has; a dash where another one lacks it.

    Raises:
        UserError: The methods were evaluated on different cases.
    """
    first, *others = methods
    metrics = list(next(iter(first.runs.values())))
    _check_cases(methods)
    lines = ["| | seeds | " + " | ".join(metrics) + " |", "|---" * (2 + len(metrics)) + "|"]
    lines += [_line(row.title, len(row.runs), [_absolute(row, name) for name in metrics]) for row in methods]
    for row in others:
        seeds = sorted(first.runs.keys() & row.runs.keys())
        cells = [_difference(first, row, name, seeds) for name in metrics]
        lines.append(_line(f"{row.title} minus {first.title}", len(seeds), cells))
    return "\n".join(lines) + "\n"


def _method(config: Config) -> str:
    """What runs of one row have in common: everything but the seed."""
    return config_text(replace(config, seed=0))


def _evaluated(folder: Path) -> dict[str, Cases]:
    """All cases of a run. Raises UserError if it has none."""
    cases: dict[str, Cases] = {}
    for path in sorted((folder / "eval" / "cases").glob("*.json")):
        cases |= read_cases(path)
    if not cases:
        raise UserError(f"{folder}: not evaluated; python -m avsa_fast.evaluate {folder} --task avc avsa does it")
    return {name: value for name, value in cases.items() if value.statistic == "mean"}


def _check_cases(methods: Sequence[Method]) -> None:
    """Raises UserError if runs were evaluated on different cases."""
    groups: dict[str, list[str]] = {}
    for run in [run for method in methods for run in method.runs.values()]:
        for name, cases in run.items():
            if groups.setdefault(name, list(cases.groups)) != list(cases.groups):
                raise UserError(
                    f"{name}: the runs were evaluated on different clips; evaluate each with the same --data, "
                    "--moments and --seed"
                )


def _values(row: Method, name: str, seeds: Sequence[int]) -> np.ndarray:
    """Values of a metric [S, n]."""
    return np.concatenate([row.runs[seed][name].values for seed in seeds])


def _groups(row: Method, name: str) -> Sequence[str]:
    """Recording of each case of a metric [n]."""
    return next(iter(row.runs.values()))[name].groups


def _absolute(row: Method, name: str) -> str:
    """A metric with its interval; a dash if a run lacks it."""
    if not all(name in run for run in row.runs.values()):
        return "–"
    return _text(name, interval(_values(row, name, sorted(row.runs)), _groups(row, name)))


def _difference(first: Method, row: Method, name: str, seeds: Sequence[int]) -> str:
    """The paired difference of a metric over the seeds that both rows have."""
    if not seeds:
        return "no seed in common"
    if not all(name in method.runs[seed] for method in (first, row) for seed in seeds):
        return "–"
    difference = interval(_values(row, name, seeds) - _values(first, name, seeds), _groups(row, name))
    shown = _text(name, difference)
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return f"{shown}: no difference shown"
    return f"{shown}: {'better' if (difference.value > 0) != format_of(name).smaller_is_better else 'worse'}"


def _text(name: str, shown: Interval) -> str:
    """A figure with its interval, in the metric's unit."""
    value, low, high = (format_of(name).show(number) for number in shown)
    return value if shown.low is None else f"{value} [{low}, {high}]"


def _line(title: str, seeds: int, cells: Sequence[str]) -> str:
    return f"| {title} | {seeds} | " + " | ".join(cells) + " |"
