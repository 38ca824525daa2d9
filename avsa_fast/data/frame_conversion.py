"""Conversion of decoded video frames to RGB images or YUV planes, with cropping and scaling."""

from typing import Any, NamedTuple

import torch
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from avsa_fast.data.projection import Projection

# Width and height are multiples of these, so that ops.gnomonic accepts the planes of every projection: with 4:2:0
# chroma, side-by-side views need a width divisible by 8, over-under views a height divisible by 4.
PLANE_MULTIPLES = 8, 4
# Keys are FFmpeg's AVColorSpace values.
MATRICES = {1: "bt709", 5: "bt601", 6: "bt601"}
UNSPECIFIED = 2
# Pixels of frames without a declared matrix that mpv and libplacebo take for BT.709, and larger ones too.
MIN_HD_WIDTH, MIN_HD_HEIGHT = 1280, 577

Size = tuple[int, int]  # width and height, pixels
Limits = tuple[int | None, int | None]  # maximum width and height, pixels; None: unlimited


class Planes(NamedTuple):
    """Frames in YUV 4:2:0, as video decoders output them, with the planes of each frame stacked vertically.

    Attributes:
        bytes: uint8 [F, 3/2 H, W]: H rows of luma, then U and V, each stored in the bytes of H/4 rows.
        matrix: Colour matrix, "bt601" or "bt709".
        full_range: Whether values use the full range, 0 to 255.
    """

    bytes: torch.Tensor
    matrix: str
    full_range: bool


class EyeCrop:
    """Crops stereoscopic frames to the left eye's view, without a copy.

    Attributes:
        size: Width and height of the view, pixels.
    """

    def __init__(self, size: Size, projection: Projection, turns: int = 0) -> None:
        """Configures the crop.

        Args:
            size: Width and height of the frames as displayed, pixels.
            projection: Projection of the frames.
            turns: Quarter turns, counter-clockwise, from the stored to the displayed frames.
        """
        columns, rows = {"erp_left": (2, 1), "erp_top": (1, 2)}.get(projection, (1, 1))
        self.size = width, height = size[0] // columns, size[1] // rows
        right, below = size[0] - width, size[1] - height
        # Place of the view in the stored frame: the displayed frame's top left corner moves with each turn.
        left, top = [(0, 0), (below, 0), (right, below), (0, right)][turns]
        self._place = f"{height}:{width}:{left}:{top}" if turns % 2 else f"{width}:{height}:{left}:{top}"
        self._is_mono = columns == rows == 1
        self._graph: Graph | None = None

    def __call__(self, frame: Any) -> Any:
        """Returns the view of a PyAV frame."""
        if self._is_mono:
            return frame
        if self._graph is None:
            self._graph = graph = Graph()
            begin = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            crop = graph.add("crop", f"{self._place}:exact=1")
            graph.link_nodes(begin, crop, graph.add("buffersink")).configure()
        self._graph.push(frame)
        return self._graph.pull()


def scaled_size(size: Size, max_size: Limits, multiples: Size) -> Size:
    """Computes the size of an image that is scaled down to limits, keeping the aspect ratio except for rounding.

    Args:
        size: Width and height of the image, pixels.
        max_size: Maximum width and height.
        multiples: Numbers that the output width and height are multiples of.

    Returns:
        Output width and height, pixels.
    """
    scale = _scale(size, max_size)
    width, height = (max(n, n * round(side * scale / n)) for side, n in zip(size, multiples, strict=True))
    return width, height


def rgb_size(size: Size, max_size: Limits) -> Size:
    """Computes the output size of an RGB image: unchanged unless it exceeds the limits.

    Args:
        size: Width and height of the image, pixels.
        max_size: Maximum width and height.

    Returns:
        Output width and height, pixels.
    """
    return scaled_size(size, max_size, (4, 1)) if _scale(size, max_size) < 1 else size


def _scale(size: Size, max_size: Limits) -> float:
    """Largest scale, at most 1, that satisfies the limits."""
    return min([1.0] + [limit / side for side, limit in zip(size, max_size, strict=True) if limit is not None])


def assume_matrix(frame: Any) -> None:
    """Sets the colour matrix of a frame that declares none to the one that players assume.

    It is BT.709 for frames of at least MIN_HD_WIDTH or MIN_HD_HEIGHT, otherwise BT.601; FFmpeg's conversion would take
    BT.601 for all.

    Args:
        frame: PyAV frame, as decoded: neither cropped nor scaled.
    """
    if frame.colorspace == UNSPECIFIED and not frame.format.is_rgb:
        is_hd = frame.width >= MIN_HD_WIDTH or frame.height >= MIN_HD_HEIGHT
        frame.colorspace = Colorspace.ITU709 if is_hd else Colorspace.ITU601


def to_rgb(frame: Any, converter: VideoReformatter, size: Size) -> torch.Tensor:
    """Converts and scales a frame to RGB, by the colour matrix and range that it declares.

    Args:
        frame: PyAV frame.
        converter: Converter, reused for frames of one format.
        size: Output width and height, pixels.

    Returns:
        uint8 [H, W, 3].
    """
    colours = _source_colours(frame)
    if colours:
        colours["dst_colorspace"] = Colorspace.DEFAULT
    rgb = converter.reformat(frame, *size, "rgb24", interpolation="AREA", **colours)
    return torch.from_numpy(rgb.to_ndarray())


def to_planes(frame: Any, converter: VideoReformatter, size: Size) -> Planes:
    """Returns a frame as YUV 4:2:0 planes; converts it only if its size, pixel format or colour matrix requires it.

    Args:
        frame: PyAV frame.
        converter: Converter, reused for frames of one format.
        size: Output width and height, multiples of PLANE_MULTIPLES, pixels.

    Returns:
        The planes, with `bytes` uint8 [3/2 H, W].
    """
    matrix, is_yuvj = MATRICES.get(frame.colorspace), frame.format.name.startswith("yuvj")
    if matrix is None or frame.format.name not in ("yuv420p", "yuvj420p"):
        # PyAV 16 ignores a change of the range alone, so a full range is kept, except that yuvj formats imply it.
        full_range = frame.color_range == ColorRange.JPEG and not is_yuvj
        frame = converter.reformat(
            frame, *size, "yuv420p", interpolation="AREA", dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG, **_source_colours(frame),
        )  # fmt: skip
        return Planes(torch.from_numpy(frame.to_ndarray()), "bt709", full_range)
    full_range = frame.color_range == ColorRange.JPEG or is_yuvj
    if (frame.width, frame.height) != size:
        frame = converter.reformat(frame, *size, frame.format.name, interpolation="AREA")
    return Planes(torch.from_numpy(frame.to_ndarray()), matrix, full_range)


def turned(image: torch.Tensor, turns: int) -> torch.Tensor:
    """Turns a stored image to how it is displayed.

    Args:
        image: [H, W, ...].
        turns: Quarter turns, counter-clockwise.

    Returns:
        [H, W, ...], or [W, H, ...] for an odd number of turns.
    """
    return torch.rot90(image, turns).contiguous() if turns else image


def turned_planes(planes: Planes, turns: int) -> Planes:
    """Turns the planes of one frame to how it is displayed.

    Args:
        planes: Planes, with `bytes` uint8 [3/2 H, W].
        turns: Quarter turns, counter-clockwise.

    Returns:
        Planes, with `bytes` uint8 [3/2 W, H] for an odd number of turns.
    """
    if not turns:
        return planes
    rows, W = planes.bytes.shape
    H = rows * 2 // 3
    luma, chroma = planes.bytes[:H], planes.bytes[H:].reshape(2, H // 2, W // 2)
    parts = [turned(luma, turns), *(turned(plane, turns) for plane in chroma)]
    width = H if turns % 2 else W
    return planes._replace(bytes=torch.cat([part.reshape(-1, width) for part in parts]))


def _source_colours(frame: Any) -> dict[str, int]:
    """Arguments of `reformat` for a frame's colour matrix and range, which PyAV 16 ignores unless they are passed."""
    if frame.format.is_rgb:
        return {}
    return {
        "src_colorspace": frame.colorspace,
        "src_color_range": ColorRange.JPEG if frame.format.name.startswith("yuvj") else frame.color_range,
    }
