"""Conversion of YUV video to RGB."""

from typing import NamedTuple

LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # weights of red and blue in luma


class YuvMatrix(NamedTuple):
    """luma = gain (y - black); red = luma + red_cr (cr - 128/255), and so on; all within [0, 1]."""

    gain: float
    black: float
    red_cr: float
    green_cb: float
    green_cr: float
    blue_cb: float


def yuv_matrix(matrix: str, full_range: bool) -> YuvMatrix:
    """Conversion matrix of ITU-R BT.601 or BT.709 video.

    Args:
        matrix: "bt601" or "bt709".
        full_range: Whether luma and chroma use 0..255, not 16..235 and 16..240.

    Returns:
        The matrix.
    """
    red, blue = LUMA[matrix]
    green = 1 - red - blue
    chroma = 1.0 if full_range else 255 / 224
    red_cr, blue_cb = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    gain, black = (1.0, 0.0) if full_range else (255 / 219, 16 / 255)
    return YuvMatrix(gain, black, red_cr, -blue_cb * blue / green, -red_cr * red / green, blue_cb)
