"""Rendering of a segment: the video with the maps, or what the camera that follows the loudest object sees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, floor, radians
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avsa_fast import ops
from avsa_fast.choices import MapKind
from avsa_fast.data.encode_video import write_video
from avsa_fast.data.projection import to_erp
from avsa_fast.data.reader import MediaReader
from avsa_fast.prepare.clip import prefetch

from .drawing import Overlay, Painter
from .moments import Moment

SECONDS = 10.0  # of a segment, about
MAX_FPS = 60
MAX_TERM = 1001  # of the frame rate's fraction, as in 30000/1001
GOP_SECONDS = 1.0
AHEAD = 4  # frames decoded before they are drawn
CAMERA_SIZE, CAMERA_FOV = (540, 960), radians(80)  # rows and columns; horizontal


@dataclass(frozen=True)
class Plan:
    """How a clip is divided into segments of whole moments, and drawn.

    Attributes:
        media: Reader of the clip.
        moments: Number of moments.
        rate: Moments per second.
        height: Maximum number of rows of the video.
        kind: What the maps show.
    """

    media: MediaReader
    moments: int
    rate: float
    height: int
    kind: MapKind

    @cached_property
    def fps(self) -> Fraction:
        """Frames per second of the result."""
        return Fraction(min(self.media.video.fps, MAX_FPS)).limit_denominator(MAX_TERM)

    @property
    def length(self) -> int:
        """Moments per segment."""
        return max(1, round(SECONDS * self.rate))

    @property
    def segments(self) -> int:
        """Number of segments."""
        return -(self.moments // -self.length)

    def span(self, number: int) -> range:
        """Returns the numbers of a segment's moments.

        Args:
            number: Number of the segment.
        """
        return range(number * self.length, min((number + 1) * self.length, self.moments))

    def frames(self, number: int) -> range:
        """Returns the numbers of a segment's frames; frame i is shown at i / fps seconds.

        Args:
            number: Number of the segment.
        """
        last = max(1, floor(self.media.description.end * self.fps + 1e-6))
        begin, end = (
            ceil(round(bound / self.rate * self.fps, 6)) for bound in (self.span(number)[0], self.span(number)[-1] + 1)
        )
        return range(begin, last if number == self.segments - 1 else min(end, last))

    def times(self, number: int) -> list[float]:
        """Returns the times of a segment's frames, in seconds.

        Args:
            number: Number of the segment.
        """
        return [float(frame / self.fps) for frame in self.frames(number)]


def render(path: Path, plan: Plan, number: int, moments: Sequence[Moment], camera: NDArray[np.float64] | None) -> None:
    """Writes the video of a segment.

    Args:
        path: File to write.
        plan: How the clip is drawn.
        number: Number of the segment.
        moments: Its moments.
        camera: Direction of the camera in each frame [n, 2], radians; None: the whole frames with the maps.

    Raises:
        UserError: If the clip is damaged.
        OSError: The file cannot be written.
    """
    frames = _camera_frames(plan, number, camera) if camera is not None else _drawn_frames(plan, number, moments)
    write_video(path, frames, rate=plan.fps, gop=round(GOP_SECONDS * plan.fps))


def _images(plan: Plan, number: int) -> Iterator[torch.Tensor]:
    """Frames [H, W, 3] of a segment, of the left eye, decoded ahead in a thread."""
    times = plan.times(number)
    limits, multiples = (None, plan.height), (2, 2)
    images = plan.media.sampled(float(plan.fps), limits, times[0], len(times) / float(plan.fps), multiples)
    return prefetch((image for _, image in images), AHEAD)


def _drawn_frames(plan: Plan, number: int, moments: Sequence[Moment]) -> Iterator[NDArray[np.uint8]]:
    """Frames with the map of the moment that they are nearest to."""
    painter: Painter | None = None
    overlay: Overlay | None = None
    drawn, first = -1, plan.span(number)[0]
    is_cubemap = plan.media.description.projection == "eac"
    for time, image in zip(plan.times(number), _images(plan, number), strict=True):
        frame = to_erp(image[None], "eac")[0].numpy() if is_cubemap else image.numpy()
        painter = painter or Painter((frame.shape[0], frame.shape[1]), plan.kind)
        wanted = min(int(time * plan.rate + 1e-6) - first, len(moments) - 1)
        if overlay is None or wanted != drawn:
            drawn, overlay = wanted, painter.overlay(moments[wanted])
        yield overlay.over(frame)


def _camera_frames(plan: Plan, number: int, camera: NDArray[np.float64]) -> Iterator[NDArray[np.uint8]]:
    """What the camera sees."""
    source = "eac" if plan.media.description.projection == "eac" else "erp"  # of one eye
    for direction, image in zip(torch.from_numpy(camera).float(), _images(plan, number), strict=True):
        crops = ops.gnomonic(
            image[None, None], direction[None, None], CAMERA_FOV, CAMERA_SIZE, source=source, dtype=torch.uint8
        )
        yield crops[0, 0, :, 0].permute(1, 2, 0).contiguous().numpy()
