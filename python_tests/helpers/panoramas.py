"""Conversion of panoramas to other projections with FFmpeg's v360 filter."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray


def v360(frame: NDArray[np.uint8], options: str) -> NDArray[np.uint8]:
    """Applies FFmpeg's v360 filter to an image [H, W, 3]; the test is skipped without PyAV."""
    av = pytest.importorskip("av")
    H, W, _ = frame.shape
    graph = av.filter.Graph()
    source = graph.add_buffer(width=W, height=H, format=av.VideoFormat("rgb24"), time_base=Fraction(1, 25))
    projection, output, sink = graph.add("v360", options), graph.add("format", "rgb24"), graph.add("buffersink")
    for first, second in ((source, projection), (projection, output), (output, sink)):
        first.link_to(second)
    graph.configure()
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
    image.pts, image.time_base = 0, Fraction(1, 25)
    graph.push(image)
    return np.asarray(graph.pull().to_ndarray(), np.uint8)


def as_eac(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Converts an ERP frame [H, 2H, 3] to an equi-angular cubemap [H, 3H/2, 3] in YouTube's layout."""
    height = frame.shape[0] // 4 * 4
    return v360(frame, f"e:eac:interp=line:w={height // 2 * 3}:h={height}")
