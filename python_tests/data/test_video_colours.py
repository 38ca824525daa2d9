"""Colours of video files: by the matrix and range that a file declares, else as players assume."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.tracks import video_track

from avsa_fast.data.frame_conversion import UNSPECIFIED
from avsa_fast.data.video import read_frames, read_key_frames, read_planes, sample_frames

WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}  # of red and blue in luma


def write_colour(
    path: Path, size: tuple[int, int], rgb: np.ndarray, matrix: str, tag: int, *, full_range: bool = False
) -> Path:
    """Writes frames of one colour, converted with a matrix, and tagged as FFmpeg's AVColorSpace value `tag`."""
    kr, kb = WEIGHTS[matrix]
    y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    cb, cr = (rgb[2] - y) / 2 / (1 - kb), (rgb[0] - y) / 2 / (1 - kr)
    scale = (255, 255, 0) if full_range else (219, 224, 16)
    yuv = [round(scale[2] + scale[0] * y), round(128 + scale[1] * cb), round(128 + scale[1] * cr)]
    width, height = size
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = tag, 2 if full_range else 1
        rows = [
            np.full((count, width), value) for count, value in zip((height, height // 4, height // 4), yuv, strict=True)
        ]
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(np.concatenate(rows).astype(np.uint8), format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("matrix", "tag"), [("bt709", 1), ("bt601", 6)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_follow_the_matrix_and_range_of_the_file(
    tmp_path: Path, rng: np.random.Generator, matrix: str, tag: int, full_range: bool
) -> None:
    rgb = rng.uniform(0.1, 0.9, 3)
    path = write_colour(tmp_path / "colour.mp4", (64, 32), rgb, matrix, tag, full_range=full_range)
    read = read_frames(video_track(path), 0.5).float().mean((0, 1, 2)) / 255
    assert np.abs(read.numpy() - rgb).max() < 0.015, (matrix, full_range, rgb)


@pytest.mark.parametrize(
    ("size", "tag", "matrix"),
    [
        ((1272, 64), UNSPECIFIED, "bt601"),
        ((1280, 64), UNSPECIFIED, "bt709"),
        ((64, 576), UNSPECIFIED, "bt601"),
        ((64, 580), UNSPECIFIED, "bt709"),
        ((1280, 64), 6, "bt601"),
        ((1272, 64), 1, "bt709"),
    ],
)
def test_files_without_a_matrix_are_read_as_players_do(
    tmp_path: Path, size: tuple[int, int], tag: int, matrix: str
) -> None:
    """By the size of the whole frame, also where one eye's view of it is smaller; a declared matrix always applies."""
    rgb = np.array([0.7, 0.25, 0.4])  # the wrong matrix changes green by 0.08
    track = video_track(write_colour(tmp_path / "colour.mp4", size, rgb, matrix, tag))
    assert read_planes(track, 0.5, count=1).matrix == matrix
    images = [read_frames(track, 0.5, count=1)[0], read_key_frames(track, 1, size[1])[0]]
    images += [next(iter(sample_frames(track, 1.0, projection=eye)))[1] for eye in ("erp_left", "erp_top")]
    for image in images:
        assert np.abs(image.float().mean((0, 1)).numpy() / 255 - rgb).max() < 0.015
