"""Detection of a video's projection: from its metadata, else from the continuity of the images across seams.

A projection cuts the sphere along seams, and the content still matches across them: an equirectangular image continues
from its right edge to its left one, an equi-angular cubemap (EAC) from face to face. Pixels on both sides of a seam
differ no more than neighbouring pixels. The reference for unrelated edges, which differ much more, is the same edge
shifted along itself.
"""

from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from avsa_fast.errors import ClipError
from avsa_fast.spatial import eac

from .projection import Projection, view_of
from .spherical_metadata import Stereo, VideoGeometry

HEIGHT, WIDTH = 128, 192  # size that views are reduced to: coarse content continues across seams, grain does not
# Maximum mismatch of continuous seams. 13 panoramas and 3 videos score at most .10 with the correct projection and at
# least .77 with the wrong one; perspective images taken from them .22 (only sky at both edges) to 1.04.
MAX_MISMATCH = 0.3
MIN_EYE_CORRELATION = 0.9  # of the two eyes' views
MIN_CONTRAST = 2.0  # grey levels; if unrelated edges differ by less, they are uninformative
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


def detect_projection(declared: VideoGeometry, frames: torch.Tensor) -> Projection:
    """Determines the projection of a video.

    Args:
        declared: Geometry that the file declares.
        frames: uint8 [N, H, W, 3], frames from different times of the video.

    Returns:
        The projection.

    Raises:
        ClipError: The projection or stereo layout is not supported, or the video is not a 360° one (state "refused").
    """
    if declared.projection not in (None, "equirectangular", "mesh", "cubemap"):
        raise ClipError("refused", f"{declared.projection} video; equirectangular and YouTube's EAC are supported")
    stereo = declared.stereo or _stereo(frames)
    if stereo == "unknown":
        raise ClipError("refused", "an unknown stereo layout; mono, over-under and side by side are supported")
    if declared.projection in ("mesh", "cubemap"):  # YouTube's EAC is declared as a mesh
        if stereo != "mono" or seam_mismatch(frames, "eac") > MAX_MISMATCH:
            raise ClipError("refused", f"{stereo} {declared.projection} video, but not EAC in YouTube's layout")
        return "eac"
    equirectangular = cast(Projection, {"mono": "erp", "top-bottom": "erp_top", "left-right": "erp_left"}[stereo])
    if declared.projection == "equirectangular":
        return equirectangular
    if _is_fisheye(frames):
        raise ClipError("refused", "fisheye video (circles on black); stitch it to an equirectangular one first")
    candidates: tuple[Projection, ...] = (equirectangular, "eac")
    mismatches = {projection: seam_mismatch(frames, projection) for projection in candidates}
    best = min(candidates, key=lambda projection: mismatches[projection])
    if mismatches[best] > MAX_MISMATCH:
        raise ClipError(
            "refused", "not a 360° video: its edges do not continue into each other (--projection erp overrides this)"
        )
    return best


def seam_mismatch(frames: torch.Tensor, projection: Projection) -> float:
    """Measures how badly the content continues across the seams of a projection.

    Args:
        frames: uint8 [N, H, W, 3].
        projection: Projection to test.

    Returns:
        0 if the content continues, about 1 if the edges are unrelated; 0 also for uninformative frames, such as black.
    """
    seams = _eac_seams() if projection == "eac" else _erp_seams()
    matched = unrelated = neighbours = 0.0
    for frame in frames:
        image = _reduced(view_of(frame, projection))
        near, far, inside_near, inside_far = (image[side[..., 0], side[..., 1]] for side in seams)  # [edges, n, 3]
        matched += float(np.abs(near - far).mean()) / len(frames)
        unrelated += float(np.abs(near - np.roll(far, far.shape[1] // 3, axis=1)).mean()) / len(frames)
        neighbours += float((np.abs(near - inside_near) + np.abs(far - inside_far)).mean()) / 2 / len(frames)
    return max(0.0, matched - neighbours) / max(MIN_CONTRAST, unrelated - neighbours)


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
    """Whether the frames show one circle, or two side by side, on black."""
    H, W = frames.shape[1:3]
    row, column = (np.indices((HEIGHT, WIDTH)) + 0.5) / np.array([HEIGHT, WIDTH])[:, None, None] * 2 - 1
    if W > 1.5 * H:
        column = 2 * np.abs(column) - 1
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
