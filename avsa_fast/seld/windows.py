"""Detection in recordings of any length, window by window."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from avsa_fast.data.reader import MediaReader
from avsa_fast.data.sound_events import FRAME_SECONDS, SoundEvent

from .config import SeldConfig
from .decode import decode
from .model import Detector

BATCH = 8  # windows in memory at a time


class Window(NamedTuple):
    """An excerpt, of which only the middle is used.

    Attributes:
        first: First frame that is read.
        begin: First frame that is used.
        end: End of the frames that are used.
    """

    first: int
    begin: int
    end: int


def plan_windows(frames: int, length: int) -> list[Window]:
    """Covers a recording with windows, each of whose used frames has a quarter of a window around it.

    Windows at the ends are moved into the recording, unless it is shorter than one.

    Args:
        frames: Frames of the recording.
        length: Frames of a window.

    Returns:
        The windows; each frame is used once, in order.
    """
    margin = length // 4
    hop = length - 2 * margin
    last = max(frames - length, 0)
    return [
        Window(min(max(begin - margin, 0), last), begin, min(begin + hop, frames)) for begin in range(0, frames, hop)
    ]


@torch.inference_mode()
def detect(
    detector: Detector, reader: MediaReader, windows: Sequence[Window], config: SeldConfig, threshold: float
) -> Iterator[list[SoundEvent]]:
    """Finds the events of windows, in memory that does not depend on their number.

    Args:
        detector: Detector in evaluation mode.
        reader: Reader of a file with ambisonic sound.
        windows: Windows of the file.
        config: The detector's configuration.
        threshold: Activity from which an event is reported.

    Yields:
        The events of each window's used frames; distances in metres.

    Raises:
        UserError: The file is damaged.
    """
    device = next(detector.parameters()).device
    length = config.frames
    left = iter(windows)
    while group := list(islice(left, BATCH)):
        sounds = [reader.scene((w.first + length / 2) * FRAME_SECONDS, length * FRAME_SECONDS) for w in group]
        output = detector(detector.features(torch.stack(sounds).to(device)), length).cpu().numpy().astype(np.float32)
        for window, values in zip(group, output, strict=True):
            used = values[window.begin - window.first : window.end - window.first]
            yield list(decode(used, window.begin, threshold))
