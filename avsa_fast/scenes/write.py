"""Writing of media files: H.264 in mp4, and 4-channel FLAC."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import soundfile
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

FPS = 16
RATE = 24_000  # Hz
GOP = 8  # frames: half a second, the length of a training sample, so that a random seek decodes little


def write_video(path: Path, chunks: Iterable[NDArray[np.uint8]], height: int, width: int, crf: int = 20) -> None:
    """Writes RGB frames as H.264: yuv420p, BT.709 limited range, tagged as such, at FPS frames per second.

    Args:
        path: mp4 file to write.
        chunks: Frames, in chunks [N, H, W, 3].
        height: Rows of the frames.
        width: Columns of the frames.
        crf: x264's constant rate factor.
    """
    options = {"preset": "veryfast", "crf": str(crf), "bf": "0", "threads": "1"}  # one thread: scenes run in parallel
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = GOP
        context = stream.codec_context
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = context.color_trc = 1  # FFmpeg's code for BT.709
        converter = VideoReformatter()  # reused: setting up a conversion costs more than converting a small frame
        for chunk in chunks:
            for pixels in chunk:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                planes = converter.reformat(
                    frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                )
                container.mux(stream.encode(planes))
        container.mux(stream.encode())


def write_sound(path: Path, foa: NDArray[np.float32]) -> None:
    """Writes first-order ambisonics [4, T] in [-1, 1], ACN/SN3D, as 16-bit FLAC at RATE."""
    soundfile.write(path, foa.T, RATE, subtype="PCM_16", format="FLAC", compression_level=1.0)
