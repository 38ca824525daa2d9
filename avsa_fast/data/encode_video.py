"""Writing of H.264 video that is cheap to decode at any time: short groups of pictures, no B-frames."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

FPS = 16  # as training samples
GOP = 8  # frames per group of pictures: half a second, the length of a training sample
BT709 = 1  # FFmpeg's code for the primaries and the transfer function of BT.709


class Encoded(NamedTuple):
    """Size of a video that was written: `width` and `height` in pixels, and number of `frames`."""

    width: int
    height: int
    frames: int


def write_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], *, crf: int = 20, tune: str | None = None,
    rate: Fraction = Fraction(FPS), gop: int = GOP,
) -> Encoded:  # fmt: skip
    """Writes RGB frames as H.264 in MP4: yuv420p, BT.709, limited range, tagged as such.

    The same frames give the same bytes.

    Args:
        path: File to write.
        frames: One or more images [H, W, 3] of the same size, with even H and W.
        crf: x264's constant rate factor.
        tune: x264's preset of that name for a kind of use, such as "fastdecode".
        rate: Frames per second.
        gop: Maximum number of frames per group of pictures.

    Returns:
        Size and number of the frames.

    Raises:
        OSError: It cannot be written.
    """
    options = {"preset": "veryfast", "crf": str(crf), "bf": "0", "threads": "1"}  # callers encode videos in parallel
    if tune is not None:
        options["tune"] = tune
    count = 0
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt, stream.gop_size = "yuv420p", gop
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = BT709
        converter = VideoReformatter()  # reused: setting up a conversion costs more than converting a small frame
        for image in frames:
            if count == 0:
                stream.height, stream.width = image.shape[:2]
            frame = converter.reformat(
                av.VideoFrame.from_ndarray(image, "rgb24"), format="yuv420p",
                dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG,
            )  # fmt: skip
            frame.pts = count
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode())
        return Encoded(stream.width, stream.height, count)
