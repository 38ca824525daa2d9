"""How metrics are printed: the one table that `evaluate` and `report` use and docs/evaluation.md shows."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Unit = Literal["share", "rank", "degrees", "number"]


@dataclass(frozen=True)
class MetricFormat:
    """How metrics of certain names are printed.

    Attributes:
        names: Pattern of the names, with * for any text.
        unit: Unit of the values.
        meaning: The unit in words.
    """

    names: str
    unit: Unit
    meaning: str

    @property
    def smaller_is_better(self) -> bool:
        """Whether smaller values are better."""
        return self.unit in ("rank", "degrees")

    def show(self, value: float | None) -> str:
        """Formats a value, a bound or a chance level.

        Args:
            value: The value; None is unknown.

        Returns:
            The text, a dash for None.
        """
        if value is None:
            return "–"
        match self.unit:
            case "share":
                return f"{value:.1%}"
            case "rank":
                return f"rank {value:.1f}"
            case "degrees":
                return f"{value:.1f}°"
            case "number":
                return f"{value:.4g}"


# The first that fits applies.
FORMATS = (
    MetricFormat("*_bin", "share", "share of pairs classified correctly"),
    MetricFormat("avsa_bin_*", "share", "the same, of a variant or a control"),
    MetricFormat("*_alone", "share", "the same, of the control"),
    MetricFormat("*_matching", "share", "share of choices that are right"),
    MetricFormat("*_recall_at_*", "share", "share of queries"),
    MetricFormat("*_median_rank", "rank", "rank from 1, the best, to the number of clips"),
    MetricFormat("*angular_error", "degrees", "angle"),
    MetricFormat("*which_object", "share", "share of objects, among all that are seen"),
    MetricFormat("*accuracy*", "share", "share of objects or recordings"),
    MetricFormat("*_clip_at_1", "share", "share of windows"),
    MetricFormat("*_video_at_1", "share", "share of recordings"),
    MetricFormat("*_shuffled_labels", "share", "the same, of the control"),
    MetricFormat("*", "number", "plain number"),
)


def format_of(name: str) -> MetricFormat:
    """Returns how a metric is printed.

    Args:
        name: Key of the metric in metrics.json or eval/TASK.json.
    """
    return next(entry for entry in FORMATS if fnmatchcase(name, entry.names))
