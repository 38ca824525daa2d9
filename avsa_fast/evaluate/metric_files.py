"""Reading of metrics.json and eval/TASK.json, whose numbers are checked."""

import json
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from avsa_fast.bounds import Range, shortened
from avsa_fast.errors import UserError

from .metric_formats import Unit, format_of

MAX_BYTES = 50_000_000  # maximum size of a file of metrics
MAX_CASES = 1e12
RANGES: dict[Unit, Range] = {"share": (0, 1), "rank": (1, MAX_CASES), "degrees": (0, 180), "number": (-1e9, 1e9)}


def read_metrics_file(path: Path) -> Any:
    """Reads a JSON file of limited size.

    Args:
        path: The file.

    Returns:
        Its content, of any type.

    Raises:
        UserError: It is missing, too large or not valid JSON.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: not a readable file of metrics: not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable file of metrics: {shortened(error)}") from error


def check_metric(file: Path, keys: Sequence[str], fields: Mapping[str, Any]) -> None:
    """Checks the numbers of a metric.

    Args:
        file: File that it was read from, for messages.
        keys: Keys that lead to it; the last one is its name.
        fields: Its value, and perhaps low, high, chance and n.

    Raises:
        UserError: A number is not finite or out of the range of the metric's unit.
    """
    low, high = RANGES[format_of(keys[-1] if keys else "").unit]
    ranges = dict.fromkeys(("value", "low", "high", "chance"), (low, high)) | {"n": (1, MAX_CASES)}
    for key, (least, greatest) in ranges.items():
        number = number_of(fields.get(key))
        if number is not None and not least <= number <= greatest:
            raise UserError(
                f"{file}: {shortened('.'.join(keys))}: {key} {number:g} is not possible: expected {least:g} to "
                f"{greatest:g}; remove the file, and evaluate again"
            )


def number_of(value: Any) -> float | None:
    """Returns a JSON number as float, infinite if it is too large for one; None for anything else.

    Args:
        value: What JSON holds.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf
