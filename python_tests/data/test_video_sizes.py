"""Videos whose frames change their size, which VP8 and VP9 allow within a stream."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.tracks import video_track

from avsa_fast.data.tracks import VideoTrack
from avsa_fast.data.video import read_frames, read_key_frames, read_planes, read_windows, sample_frames
from avsa_fast.errors import UserError

FPS = 8


def write_sizes(path: Path, codec: str, sizes: list[tuple[int, int]]) -> Path:
    """Writes a stream of two seconds for each of the sizes, from an encoder of its own."""
    tick = Fraction(1, 1000)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = sizes[0], "yuv420p"
        stream.codec_context.time_base = tick
        file.start_encoding()
        number = 0
        for width, height in sizes:
            encoder: Any = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.framerate = tick, Fraction(FPS)
            encoder.options = {"deadline": "realtime", "cpu-used": "8"}
            images: list[Any] = []
            for _ in range(2 * FPS):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 100, np.uint8), format="rgb24")
                frame.pts, frame.time_base = round(number / FPS / tick), tick
                images.append(frame)
                number += 1
            for packet in [packet for image in [*images, None] for packet in encoder.encode(image)]:
                packet.stream, packet.time_base = stream, tick
                file.mux(packet)
    return path


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
@pytest.mark.parametrize(("first", "second"), [((128, 64), (64, 32)), ((64, 32), (128, 64))])
def test_change_of_size_is_named(tmp_path: Path, codec: str, first: tuple[int, int], second: tuple[int, int]) -> None:
    path = write_sizes(tmp_path / "sizes.webm", codec, [first, second])
    track = video_track(path)
    change = f"sizes.webm: its size changes from {first[0]}×{first[1]} to {second[0]}×{second[1]} pixels "
    reads: list[tuple[Callable[[VideoTrack], object], str]] = [
        (lambda track: read_frames(track, 2.0), "between 1.88 s and 2.00 s"),
        (lambda track: read_planes(track, 2.0), "between 1.88 s and 2.00 s"),
        (lambda track: list(read_windows(track, [0.5, 2.0])), "between 1.88 s and 2.00 s"),
        (lambda track: list(sample_frames(track, 2.0)), "between 1.50 s and 2.00 s"),
        (lambda track: read_frames(track, 3.0), "by 2.75 s"),
        (lambda track: read_key_frames(track, 4, 64), "by 2.00 s"),
    ]
    for read, time in reads:
        with pytest.raises(UserError, match=re.escape(f"{change}{time}; encode it again with one size")):
            read(track)
    assert read_frames(track, 1.0).shape == (8, first[1], first[0], 3)
