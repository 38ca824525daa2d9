"""Spans of clips that samples are taken from: lazily, for datasets of a million clips."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from avsa_fast.errors import UserError

from .clips import Clip
from .index import Index
from .projection import PROJECTIONS, Projection
from .reader import MediaReader
from .rows import description_of

LEEWAY = 1.0  # seconds by which other tools may state longer clips


@dataclass(frozen=True)
class ClipSpan:
    """A clip, and the span of time in it that samples are taken from.

    Attributes:
        name: Name of the clip.
        reader: Reader of the clip's media.
        begin: Start of the span, in seconds.
        end: End of the span, in seconds.
    """

    name: str
    reader: MediaReader
    begin: float
    end: float

    @property
    def is_directional(self) -> bool:
        """Whether the clip's sound has direction."""
        return bool(self.reader.description.layout.channel_map)

    @property
    def projection(self) -> Projection:
        """Projection of the video."""
        return self.reader.description.projection or PROJECTIONS[0]

    def moment(self, position: float, margin: float) -> float:
        """Maps a relative position to a sample's centre time.

        Args:
            position: Position within the usable range, 0 to 1.
            margin: Seconds to keep from both ends of the span, if it is long enough.

        Returns:
            Seconds from the clip's zero; the middle of the span if it is shorter than two margins.
        """
        if self.end - self.begin <= 2 * margin:
            return (self.begin + self.end) / 2
        return self.begin + margin + position * (self.end - self.begin - 2 * margin)


class SpanError(UserError):
    """The files of a clip cannot be inspected; `name` is the clip's."""

    def __init__(self, name: str, message: str) -> None:
        """Stores the name and the message."""
        super().__init__(message)
        self.name = name


class ClipSpans(Sequence[ClipSpan]):
    """Lazy sequence of the spans of selected clips of an index."""

    def __init__(self, index: Index, numbers: np.ndarray, part: tuple[float, float] = (0.0, 1.0)) -> None:
        """Selects the clips.

        Args:
            index: Clips of the dataset.
            numbers: int [n], numbers of the clips to select.
            part: Begin and end of the spans, as shares of the clips.
        """
        self._index, self._numbers, self._part = index, numbers, part

    def __len__(self) -> int:
        return len(self._numbers)

    def names(self) -> list[str]:
        """Returns the clips' names, without opening them."""
        return self._index.names(self._numbers)

    @overload
    def __getitem__(self, number: int) -> ClipSpan: ...
    @overload
    def __getitem__(self, number: slice) -> list[ClipSpan]: ...
    def __getitem__(self, number: int | slice) -> ClipSpan | list[ClipSpan]:
        if isinstance(number, slice):
            return [self[i] for i in range(len(self))[number]]
        whole = span_of(*self._index[int(self._numbers[number])])
        length, (begin, end) = whole.end - whole.begin, self._part
        return replace(whole, begin=whole.begin + begin * length, end=whole.begin + end * length)


def names_of(spans: Sequence[ClipSpan]) -> list[str]:
    """Returns the names of the spans' clips.

    Args:
        spans: The spans.
    """
    return spans.names() if isinstance(spans, ClipSpans) else [span.name for span in spans]


def span_of(clip: Clip, row: dict[str, Any]) -> ClipSpan:
    """Returns the whole span of a clip, in which both its video and its sound have started and not ended.

    Args:
        clip: Files of the clip.
        row: Its row of the index.

    Raises:
        SpanError: The row does not describe the tracks, and a file is missing or unreadable; or the row has more
            seconds than the tracks.
    """
    assert clip.video is not None
    assert clip.sound is not None
    try:
        description = description_of(row, clip.video, clip.sound)
    except UserError as error:
        raise SpanError(clip.name, str(error)) from error
    if row["seconds"] > description.end + LEEWAY:
        raise SpanError(
            clip.name,
            f"{clip.name}: index.parquet has seconds {row['seconds']:g}, but its files end after {description.end:g}; "
            "delete that file to rebuild it",
        )
    return ClipSpan(clip.name, MediaReader(description), description.begin, row["seconds"])
