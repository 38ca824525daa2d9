"""Detection of a video's projection: from its metadata, else from the continuity of the images across seams.

A projection cuts the sphere along seams, and the content still matches across them: an equirectangular image continues
from its right edge to its left one, an equi-angular cubemap (EAC) from face to face. Pixels on both sides of a seam
differ no more than neighbouring pixels. The reference for unrelated edges, which differ much more, is the same edge
shifted along itself. Edges without texture prove nothing, and bars of one colour at the edges are no picture.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from avsa_fast.errors import ClipError
from avsa_fast.spatial import eac

from .projection import Projection, view_of
from .spherical_metadata import Stereo, VideoGeometry

HEIGHT, WIDTH = 128, 192  # size that views are reduced to: coarse content continues across seams, grain does not
# Maximum mismatch of continuous seams. 13 panoramas and 3 videos score at most .28 with the correct projection and at
# least .77 with the wrong one; of 1404 perspective images taken from the panoramas, 4 score less than .3.
MAX_MISMATCH = 0.3
MIN_EYE_CORRELATION = 0.9  # of the two eyes' views
MIN_CONTRAST = 2.0  # grey levels; if unrelated edges differ by less, they prove nothing
MAX_BAR_DEVIATION = 6.0  # grey levels by which a bar may differ from its mean colour
MIN_BAR = 0.02  # share of the width or height that a bar covers at least
MAX_ASPECT_ERROR = 0.03  # relative error of an aspect ratio that counts as 2:1
MAX_BLACK = 12.0  # maximum grey level around a fisheye circle

Image = NDArray[np.float32]
Pixels = NDArray[np.int64]  # [edges, n, 2]: row and column


class Seams(NamedTuple):
    """Seams of a projection: the pixels on both sides of each, and their neighbours one pixel further inside.

    Attributes:
        near: Pixels on one side.
        far: Pixels on the other side.
        inside_near: Neighbours of `near`.
        inside_far: Neighbours of `far`.
    """

    near: Pixels
    far: Pixels
    inside_near: Pixels
    inside_far: Pixels


class SeamMatch(NamedTuple):
    """How the content continues across the seams of a projection.

    Attributes:
        mismatch: 0 if it continues, about 1 if the edges are unrelated; of equirectangular images, for their brightness
            or for their texture, whichever is larger. 0 also for edges without texture.
        contrast: Difference of unrelated edges beyond that of neighbouring pixels, grey levels.
    """

    mismatch: float
    contrast: float


class FlatVideo(ClipError):
    """A video that nothing shows to be a 360° one."""

    def __init__(self, reason: str, *, may_be_erp: bool) -> None:
        """Stores the message.

        Args:
            reason: Why it is taken for a flat video.
            may_be_erp: Whether it may be an equirectangular one nevertheless; the message then offers the override.
        """
        offer = " (if it is an equirectangular one: --projection erp)" if may_be_erp else ""
        super().__init__("refused", f"not a 360° video: {reason}{offer}")


def detect_projection(declared: VideoGeometry, read_frames: Callable[[], torch.Tensor]) -> tuple[Projection, str]:
    """Determines the projection of a video.

    Args:
        declared: Geometry that the file declares.
        read_frames: Returns frames from different times of the video, uint8 [N, H, W, 3]; not called if the metadata is
            sufficient.

    Returns:
        The projection, and what it was taken from.

    Raises:
        ClipError: The projection or stereo layout is not supported, or the video is not a 360° one (state "refused").
    """
    if declared.projection not in (None, "equirectangular", "mesh", "cubemap"):
        raise ClipError("refused", f"{declared.projection} video; equirectangular and YouTube's EAC are supported")
    is_declared = declared.projection == "equirectangular"
    frames = torch.empty(0) if is_declared and declared.stereo else read_frames()
    stereo = declared.stereo or _stereo(frames)
    if stereo == "unknown":
        raise ClipError("refused", "an unknown stereo layout; mono, over-under and side by side are supported")
    if declared.projection in ("mesh", "cubemap"):  # YouTube's EAC is declared as a mesh
        if stereo != "mono" or seam_match(frames, "eac").mismatch > MAX_MISMATCH:
            raise ClipError("refused", f"{stereo} {declared.projection} video, but not EAC in YouTube's layout")
        return "eac", f"declared as {declared.projection}, and its faces continue into each other"
    equirectangular = cast(Projection, {"mono": "erp", "top-bottom": "erp_top", "left-right": "erp_left"}[stereo])
    if is_declared:
        return equirectangular, f"declared as equirectangular, {stereo}"
    if _is_fisheye(frames):
        raise ClipError("refused", "fisheye video (circles on black); stitch it to an equirectangular one first")
    view = view_of(frames, equirectangular)
    _refuse_bars(view)
    # Wider frames are something else, such as one of the two tracks of a cubemap.
    may_be_erp = view.shape[2] <= 2 * (1 + MAX_ASPECT_ERROR) * view.shape[1]
    candidates: tuple[Projection, ...] = (equirectangular, "eac")
    matches = {projection: seam_match(frames, projection) for projection in candidates}
    best = min(candidates, key=lambda projection: matches[projection].mismatch)
    if matches[equirectangular].contrast < MIN_CONTRAST:
        if not _is_two_to_one(*view.shape[1:3]):
            raise FlatVideo(
                "its side edges have no texture, and it is not twice as wide as high", may_be_erp=may_be_erp
            )
        return equirectangular, "twice as wide as high; its edges have no texture"
    if matches[best].mismatch > MAX_MISMATCH:
        _refuse_half_spheres(frames)
        wide = "" if may_be_erp else ", and it is wider than twice its height"
        raise FlatVideo(f"its edges do not continue into each other{wide}", may_be_erp=may_be_erp)
    return best, f"its edges continue into each other (mismatch {matches[best].mismatch:.2f})"


def _is_two_to_one(height: float, width: float) -> bool:
    """Whether an image is twice as wide as high."""
    return abs(width / (2 * height) - 1) <= MAX_ASPECT_ERROR


def _refuse_bars(views: torch.Tensor) -> None:
    """Raises FlatVideo if views [N, h, w, 3] have bars of one colour on opposite sides.

    Uniform rows at the top and the bottom may also be the poles of a complete image; they are bars if only the picture
    between them is twice as wide as high.
    """
    images = views.float()
    height, width = images.shape[1:3]
    top, bottom = _bars(images)
    left, right = _bars(images.transpose(1, 2))
    if max(top, left) == 0 or top + bottom >= height or left + right >= width:
        return
    inside = height - top - bottom
    if left or (not _is_two_to_one(height, width) and _is_two_to_one(inside, width)):
        sides, sizes = ("left and right", (left, right)) if left else ("top and bottom", (top, bottom))
        raise FlatVideo(
            f"bars of one colour at the {sides} ({sizes[0] / (width if left else height):.0%} and "
            f"{sizes[1] / (width if left else height):.0%} of it); crop the video to its picture first",
            may_be_erp=False,
        )


def _refuse_half_spheres(frames: torch.Tensor) -> None:
    """Raises ClipError if frames [N, H, W, 3] show one scene twice, side by side in squares, as VR180 does."""
    H, W = frames.shape[1:3]
    if _is_two_to_one(H, W) and _are_similar(frames[:, :, : W // 2], frames[:, :, W // 2 :]):
        raise ClipError("refused", "two views of half a sphere side by side (VR180); only whole spheres are supported")


def _bars(images: torch.Tensor) -> tuple[int, int]:
    """Rows of one colour at the top and the bottom of all images [N, h, w, 3]; zeros unless both sides have a bar."""
    colour = images[:, 0].mean(dim=(0, 1))
    uniform = ((images - colour).abs().amax(dim=(0, 2, 3)) <= MAX_BAR_DEVIATION).tolist()
    first = next((i for i, same in enumerate(uniform) if not same), len(uniform))
    last = next((i for i, same in enumerate(reversed(uniform)) if not same), len(uniform))
    return (first, last) if min(first, last) >= MIN_BAR * len(uniform) else (0, 0)


def seam_match(frames: torch.Tensor, projection: Projection) -> SeamMatch:
    """Measures how the content continues across the seams of a projection.

    Args:
        frames: uint8 [N, H, W, 3].
        projection: Projection to test.

    Returns:
        The mismatch and the contrast.
    """
    seams = _eac_seams() if projection == "eac" else _erp_seams()
    edges = [
        [image[side[..., 0], side[..., 1]] for side in seams]
        for image in (_reduced(view_of(frame, projection)) for frame in frames)
    ]
    brightness = _match(edges)
    if projection == "eac":  # no other picture continues across its eight seams
        return brightness
    texture = _match([[_texture(side) for side in sides] for sides in edges])
    return SeamMatch(max(brightness.mismatch, texture.mismatch), texture.contrast)


def _match(edges: Sequence[Sequence[Image]]) -> SeamMatch:
    """Match of edges [n, 3]: for each frame, both sides of the seams, and their neighbours [seams, n, 3]."""
    matched = unrelated = neighbours = 0.0
    for near, far, inside_near, inside_far in edges:
        matched += float(np.abs(near - far).mean()) / len(edges)
        unrelated += float(np.abs(near - np.roll(far, far.shape[1] // 3, axis=1)).mean()) / len(edges)
        neighbours += float((np.abs(near - inside_near) + np.abs(far - inside_far)).mean()) / 2 / len(edges)
    contrast = unrelated - neighbours
    return SeamMatch(max(0.0, matched - neighbours) / max(MIN_CONTRAST, contrast), contrast)


def _texture(edges: Image) -> Image:
    """Edges [seams, n, 3] without what changes slowly along them, as the sky does in any picture."""
    size = edges.shape[1] // 4
    padded = np.pad(edges, ((0, 0), (size // 2, size - 1 - size // 2), (0, 0)), mode="reflect")
    return edges - sliding_window_view(padded, size, axis=1).mean(axis=-1)


def _reduced(view: torch.Tensor) -> Image:
    """Downscales a view [h, w, 3] to [HEIGHT, WIDTH, 3]."""
    planes = view.permute(2, 0, 1).float()
    small = torch.nn.functional.adaptive_avg_pool2d(planes, (HEIGHT, WIDTH)).permute(1, 2, 0)
    return cast(Image, small.numpy())


def _stereo(frames: torch.Tensor) -> Stereo:
    """Stereo layout, from the similarity of the frames' halves; side by side only if W >= 3 H."""
    H, W = frames.shape[1:3]
    if _are_similar(frames[:, : H // 2], frames[:, H // 2 :]):
        return "top-bottom"
    side_by_side = W >= 3 * H and _are_similar(frames[:, :, : W // 2], frames[:, :, W // 2 :])
    return "left-right" if side_by_side else "mono"


def _are_similar(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two halves [N, h, w, 3] correlate in every frame that is not uniform."""
    pairs = [(_reduced(a).ravel(), _reduced(b).ravel()) for a, b in zip(left, right, strict=True)]
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in pairs if min(a.std(), b.std()) > MIN_CONTRAST]
    return bool(correlations) and min(correlations) > MIN_EYE_CORRELATION


def _is_fisheye(frames: torch.Tensor) -> bool:
    """Whether the frames show one circle, or two side by side or one below the other, on black."""
    H, W = frames.shape[1:3]
    row, column = (np.indices((HEIGHT, WIDTH)) + 0.5) / np.array([HEIGHT, WIDTH])[:, None, None] * 2 - 1
    if W > 1.5 * H:
        column = 2 * np.abs(column) - 1
    elif H > 1.5 * W:
        row = 2 * np.abs(row) - 1
    radius = np.hypot(row, column)
    images = [_reduced(frame).mean(-1) for frame in frames]
    return all(
        image[radius > 1.05].max() < MAX_BLACK and image[radius < 0.95].mean() > 2 * MAX_BLACK for image in images
    )


@lru_cache(maxsize=1)
def _erp_seams() -> Seams:
    """The seam between the left and the right edge of an equirectangular image."""
    rows = np.arange(HEIGHT)
    columns = (0, WIDTH - 1, 1, WIDTH - 2)
    return Seams(*(np.stack([rows, np.full_like(rows, column)], axis=-1)[None] for column in columns))


@lru_cache(maxsize=1)
def _eac_seams() -> Seams:
    """The eight seams between faces that are not adjacent in an EAC image, without their ends."""
    side, end = WIDTH // 3, 4  # faces are square, and 4 pixels are omitted at each end of an edge
    along = (np.arange(end, side - end) + 0.5) / side * 2 - 1
    seams: dict[frozenset[int], list[Pixels]] = {}
    for face in range(6):
        for axis, sign in ((0, -1), (0, 1), (1, -1), (1, 1)):
            edge = np.stack([along, along], axis=-1)  # column and row coordinates on the face, within ±1
            edge[:, axis] = sign
            outward = np.eye(2)[axis] * sign
            beyond = torch.from_numpy(_rays(face, edge + 1e-3 * outward))
            neighbour = eac.face_of(beyond)
            right, down, forward = eac.on_face(neighbour, beyond)
            met = torch.stack([torch.atan2(right, forward), torch.atan2(down, forward)], dim=-1).numpy() * 4 / np.pi
            other = int(neighbour[0])
            other_outward = met * (np.abs(met) > 0.99)
            sides = [
                _pixels(face, edge - outward / side, side), _pixels(other, met - other_outward / side, side),
                _pixels(face, edge - 3 * outward / side, side), _pixels(other, met - 3 * other_outward / side, side),
            ]  # fmt: skip
            if np.abs(sides[0] - sides[1]).max() > 1:
                seams.setdefault(frozenset((face, other)), sides)
    return Seams(*(np.stack(group) for group in zip(*seams.values(), strict=True)))


def _rays(face: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rays [n, 3] through points [n, 2] of a face, given as column and row coordinates within ±1."""
    rays = np.empty((len(points), 3))
    for part, value in enumerate((*np.tan(np.pi / 4 * points).T, np.ones(len(points)))):
        axis, sign = eac.FACES[face][part]
        rays[:, axis] = sign * value
    return rays


def _pixels(face: int, points: NDArray[np.float64], side: int) -> Pixels:
    """Pixel rows and columns [n, 2] of points [n, 2] of a face, given as column and row coordinates within ±1."""
    column, row = np.floor((points.T + 1) / 2 * side).astype(np.int64).clip(0, side - 1)
    return np.stack([row + side * (face // 3), column + side * (face % 3)], axis=-1)
