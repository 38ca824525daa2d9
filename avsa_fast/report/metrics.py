"""Metrics of a run with their intervals and chance levels, as the page shows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from avsa_fast.evaluate.metric_files import check_metric, number_of, read_metrics_file
from avsa_fast.evaluate.metric_formats import MetricFormat, format_of


@dataclass(frozen=True)
class MetricRow:
    """A metric from metrics.json or eval/TASK.json, as a row of the page's table.

    Attributes:
        task: Task that it belongs to.
        name: Title.
        format: How its values are shown.
        value: The metric.
        low: Lower bound of its 95 % interval, if known.
        high: Upper bound, likewise.
        chance: Chance level, if known.
        n: Number of cases, if known.
        computed: Whether the interval was computed here (Wilson), not read from the file.
    """

    task: str
    name: str
    format: MetricFormat
    value: float
    low: float | None
    high: float | None
    chance: float | None
    n: int | None
    computed: bool

    @property
    def is_proportion(self) -> bool:
        """Whether the metric is a share with a chance level, which can be drawn from 0 to 100 %."""
        return self.format.unit == "share" and self.chance is not None and 0 <= self.value <= 1


def read_metrics(run: Path) -> list[MetricRow]:
    """Reads all metrics of metrics.json and eval/*.json.

    Args:
        run: Folder of the run.

    Returns:
        The metrics in the order of the files.

    Raises:
        UserError: If a file is not valid JSON or too large, or a number in it is not possible.
    """
    rows: list[MetricRow] = []
    files = [run / "metrics.json", *sorted((run / "eval").glob("*.json"))]
    for file in (file for file in files if file.exists()):
        task = "training" if file.name == "metrics.json" else file.stem
        for path, fields in _walk(read_metrics_file(file), ()):
            check_metric(file, path, fields)
            rows.append(_metric_row(task, path, fields))
    return rows


def _walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yields every dictionary with a numeric "value" in nested dictionaries and lists, with the path of keys to it."""
    if isinstance(node, dict):
        if number_of(node.get("value")) is not None:
            yield path, node
            return
        for key, child in node.items():
            yield from _walk(child, (*path, str(key)))
    elif isinstance(node, list):
        for number, child in enumerate(node, start=1):
            yield from _walk(child, (*path, str(number)))


def _metric_row(task: str, path: tuple[str, ...], fields: dict[str, Any]) -> MetricRow:
    """A metric from the keys to it and its JSON fields, with a Wilson interval for proportions that have none."""
    value, low, high, chance, n = (number_of(fields.get(key)) for key in ("value", "low", "high", "chance", "n"))
    assert value is not None
    count = None if n is None else int(n)
    name, format = " · ".join(_title(key) for key in path), format_of(path[-1] if path else "")
    computed = format.unit == "share" and 0 <= value <= 1 and low is None and high is None and bool(count)
    if computed and count:
        interval = binomtest(round(value * count), count).proportion_ci(method="wilson")
        low, high = float(interval.low), float(interval.high)
    return MetricRow(task, name, format, value, low, high, chance, count, computed)


def _title(key: str) -> str:
    """A key as words."""
    return " ".join(word.upper() if word in ("avc", "avsa") else word for word in key.split("_"))
