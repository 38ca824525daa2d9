"""Colours of decoded frames follow the formulas of their standards, with every supported version of PyAV."""

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from avsa_fast.data.frame_conversion import to_planes, to_rgb

SIZE = 64, 32
YCBCR = np.array(
    [120.0, 90.0, 170.0]
)  # for which the matrices differ by up to 8 and the ranges by up to 10 grey levels
# FFmpeg's AVColorSpace value, and the weights of red and blue in luma.
MATRICES = {"bt709": (1, 0.2126, 0.0722), "bt601": (6, 0.299, 0.114), "bt2020": (9, 0.2627, 0.0593)}
LIMITED, FULL = 1, 2  # FFmpeg's AVColorRange values


def uniform_frame(matrix: str, full_range: bool, format: str) -> av.VideoFrame:
    """A frame whose pixels all have the value YCBCR."""
    frame = av.VideoFrame(*SIZE, format)
    for plane, value in zip(frame.planes, YCBCR, strict=True):
        if format.endswith("10le"):
            plane.update(np.full(plane.buffer_size // 2, 4 * value, np.uint16).tobytes())
        else:
            plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
    frame.colorspace, frame.color_range = MATRICES[matrix][0], FULL if full_range else LIMITED
    return frame


def scales(full_range: bool) -> tuple[float, float, float]:
    """Range of luma, range of chroma, and the luma of black."""
    return (255, 255, 0) if full_range else (219, 224, 16)


def rgb_of(ycbcr: NDArray[np.float64], matrix: str, full_range: bool) -> NDArray[np.float64]:
    """RGB in [0, 1], by the definition of Y'CbCr in BT.601, BT.709 and BT.2020."""
    _, kr, kb = MATRICES[matrix]
    luma, chroma, black = scales(full_range)
    y, cb, cr = (ycbcr[0] - black) / luma, (ycbcr[1] - 128) / chroma, (ycbcr[2] - 128) / chroma
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return np.array([r, (y - kr * r - kb * b) / (1 - kr - kb), b])


def ycbcr_of(rgb: NDArray[np.float64], matrix: str, full_range: bool) -> NDArray[np.float64]:
    """The inverse of `rgb_of`."""
    _, kr, kb = MATRICES[matrix]
    luma, chroma, black = scales(full_range)
    y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    cb, cr = (rgb[2] - y) / 2 / (1 - kb), (rgb[0] - y) / 2 / (1 - kr)
    return np.array([black + luma * y, 128 + chroma * cb, 128 + chroma * cr])


def rgb_rounding(full_range: bool) -> NDArray[np.float64]:
    """Maximum error of FFmpeg's RGB, in grey levels.

    It looks each channel up in a table of luma steps: it truncates the result, and before that each chroma term, one of
    red and blue and two of green, to whole luma steps.
    """
    return 1 + 255 / scales(full_range)[0] * np.array([1, 2, 1])


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
def test_rgb(matrix: str, full_range: bool) -> None:
    frame = uniform_frame(matrix, full_range, "yuv420p")
    rgb = to_rgb(frame, VideoReformatter(), SIZE).numpy()
    assert rgb.shape == (*reversed(SIZE), 3)
    error = rgb.reshape(-1, 3) - 255 * rgb_of(YCBCR, matrix, full_range)
    assert (np.abs(error) <= rgb_rounding(full_range)).all()


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("format", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_planes(matrix: str, full_range: bool, format: str) -> None:
    planes = to_planes(uniform_frame(matrix, full_range, format), VideoReformatter(), SIZE)
    assert planes.matrix == (matrix if matrix != "bt2020" and format == "yuv420p" else "bt709")
    assert planes.full_range == full_range
    expected = ycbcr_of(rgb_of(YCBCR, matrix, full_range), planes.matrix, full_range)
    height = SIZE[1]
    luma, chroma = planes.bytes[:height].numpy(), planes.bytes[height:].reshape(2, -1).numpy()
    # FFmpeg changes the matrix by way of RGB, whose errors of one sign pass to luma and chroma with weights of sum 1.
    bound = 1 if planes.matrix == matrix else 0.5 + rgb_rounding(full_range).max()
    assert np.abs(luma - expected[0]).max() <= bound
    assert np.abs(chroma - expected[1:, None]).max() <= bound


def test_the_range_that_a_pixel_format_implies() -> None:
    frame = uniform_frame("bt709", True, "yuvj420p")
    frame.color_range = 0  # unspecified
    rgb = to_rgb(frame, VideoReformatter(), SIZE).numpy()
    error = rgb.reshape(-1, 3) - 255 * rgb_of(YCBCR, "bt709", True)
    assert (np.abs(error) <= rgb_rounding(True)).all()
    assert to_planes(frame, VideoReformatter(), SIZE).full_range
