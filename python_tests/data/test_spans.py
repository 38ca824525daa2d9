from pathlib import Path
from typing import Any

import pytest

from avsa_fast.data.clips import Clip
from avsa_fast.data.rows import READING
from avsa_fast.data.spans import SpanError, span_of

CLIP = Clip("clip", Path("clip.mp4"), Path("clip.flac"), "train")
ROW: dict[str, Any] = dict.fromkeys(READING.names) | {
    "name": "clip", "state": "ok", "video_stream": 0, "video_seconds": 9.0, "video_start": 0.5, "video_zero": 0.0,
    "fps": 30.0, "width": 1920, "height": 960, "turns": 0, "sound_stream": 0, "sound_seconds": 12.0, "sound_start": 0.0,
    "sound_zero": 0.0, "rate": 48000, "channels": 4, "codec": "flac", "first_block": 0, "block": 0,
}  # fmt: skip


def test_span_of_a_row() -> None:
    span = span_of(CLIP, ROW | {"seconds": 9.5})
    assert (span.begin, span.end) == (0.5, 9.5)


@pytest.mark.parametrize("seconds", [11.0, 80_000.0])
def test_more_seconds_than_the_files_have(seconds: float) -> None:
    """Training would otherwise read black frames and silence."""
    with pytest.raises(SpanError, match=rf"clip: index\.parquet has seconds {seconds:g}, but its files end after 9\.5"):
        span_of(CLIP, ROW | {"seconds": seconds})
