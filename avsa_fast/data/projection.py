"""Detection of a video's projection: from its metadata, else from the continuity across the edges of the picture.

A projection cuts the sphere along seams, and the content still matches across them: an equirectangular picture
continues from its right edge to its left one, an equi-angular cubemap (EAC) from face to face. Pixels on both sides of
a seam differ no more than neighbouring pixels. The reference for unrelated edges, which differ much more, is the same
edge shifted along itself.
"""

from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from avsa_fast.errors import ClipError
from avsa_fast.spatial import eac

from .spherical import Picture, Stereo

# The `source` values of ops.gnomonic that clips use; stereoscopic ones use the left eye's view.
Source = Literal["erp", "erp_top", "erp_left", "eac"]
SOURCES: tuple[Source, ...] = get_args(Source)

HEIGHT, WIDTH = 128, 192  # size that views are reduced to: coarse content continues across seams, grain does not
# Maximum value of `fit` for matching edges. 13 panoramas and 3 videos score at most .10 with the correct projection and
# at least .77 with the wrong one; perspective pictures taken from them .22 (only sky at both edges) to 1.04.
FITS = 0.3
SAME_EYES = 0.9  # minimum correlation of the two eyes' views
FLAT = 2.0  # grey levels; if unrelated edges differ by less, they are uninformative
DARK = 12.0  # maximum grey level around a fisheye circle

Image = NDArray[np.float32]
Pixels = NDArray[np.int64]  # [edges, n, 2]: row and column


class Cut(NamedTuple):
    """Seams of a projection: the pixels on both sides of each, and their neighbours one pixel further inside."""

    here: Pixels
    there: Pixels
    inside_here: Pixels
    inside_there: Pixels


def decide_source(picture: Picture, frames: torch.Tensor) -> Source:
    """Chooses the `source` of ops.gnomonic for a video.

    Args:
        picture: Geometry that the file declares.
        frames: uint8 [N, H, W, 3], frames from different times of the video.

    Returns:
        The source.

    Raises:
        ClipError: The projection or stereo layout is not supported, or the video is not a 360° one (state "refused").
    """
    if picture.projection not in (None, "equirectangular", "mesh", "cubemap"):
        raise ClipError("refused", f"a {picture.projection} picture; equirectangular ones and YouTube's EAC are used")
    stereo = picture.stereo or _stereo(frames)
    if stereo == "unknown":
        raise ClipError("refused", "an unknown stereo layout; mono, over-under and side by side are used")
    if picture.projection in ("mesh", "cubemap"):  # YouTube's EAC is declared as a mesh
        if stereo != "mono" or fit(frames, "eac") > FITS:
            raise ClipError("refused", f"a {stereo} {picture.projection} picture, but not EAC in YouTube's layout")
        return "eac"
    source = cast(Source, {"mono": "erp", "top-bottom": "erp_top", "left-right": "erp_left"}[stereo])
    if picture.projection == "equirectangular":
        return source
    if _is_fisheye(frames):
        raise ClipError("refused", "a fisheye picture (circles on black); stitch it to an equirectangular one first")
    fits: dict[Source, float] = {name: fit(frames, name) for name in (source, "eac")}
    best = min(fits, key=lambda name: fits[name])
    if fits[best] > FITS:
        raise ClipError("refused", "not a 360° picture: its edges do not continue (--projection erp takes it for one)")
    return best


def fit(frames: torch.Tensor, source: Source) -> float:
    """Measures how well the content continues across the seams of a projection.

    Args:
        frames: uint8 [N, H, W, 3].
        source: Projection to test.

    Returns:
        0 if the content continues, about 1 if the edges are unrelated; 0 also for uninformative frames, such as black.
    """
    cut = _eac_cut() if source == "eac" else _erp_cut()
    matched = unrelated = near = 0.0
    for frame in frames:
        image = _reduced(view_of(frame, source))
        here, there, inside_here, inside_there = (image[side[..., 0], side[..., 1]] for side in cut)  # [edges, n, 3]
        matched += float(np.abs(here - there).mean()) / len(frames)
        unrelated += float(np.abs(here - np.roll(there, there.shape[1] // 3, axis=1)).mean()) / len(frames)
        near += float((np.abs(here - inside_here) + np.abs(there - inside_there)).mean()) / 2 / len(frames)
    return max(0.0, matched - near) / max(FLAT, unrelated - near)


def view_of(frames: torch.Tensor, source: Source) -> torch.Tensor:
    """Returns the view [..., h, w, 3] of frames [..., H, W, 3] that a source uses."""
    H, W = frames.shape[-3:-1]
    if source == "erp_top":
        return frames[..., : H // 2, :, :]
    return frames[..., : W // 2, :] if source == "erp_left" else frames


def check_size(source: Source, width: int, height: int) -> None:
    """Raises ClipError if frames of this size, in pixels, cannot be divided into the views of a source."""
    fits = {
        "erp": width % 2 == 0, "erp_top": width % 2 == height % 2 == 0, "erp_left": width % 4 == 0,
        "eac": height % 2 == 0 and min(width, height) >= 16,
    }  # fmt: skip
    if not fits[source]:
        raise ClipError("refused", f"{width}×{height} pixels, which do not divide into views of {source}")


def _reduced(view: torch.Tensor) -> Image:
    """Downscales a view [h, w, 3] to [HEIGHT, WIDTH, 3]."""
    planes = view.permute(2, 0, 1).float()
    small = torch.nn.functional.adaptive_avg_pool2d(planes, (HEIGHT, WIDTH)).permute(1, 2, 0)
    return cast(Image, small.numpy())


def _stereo(frames: torch.Tensor) -> Stereo:
    """Stereo layout, from the similarity of the frames' halves; side by side only if W >= 3 H."""
    H, W = frames.shape[1:3]
    if _alike(frames[:, : H // 2], frames[:, H // 2 :]):
        return "top-bottom"
    return "left-right" if W >= 3 * H and _alike(frames[:, :, : W // 2], frames[:, :, W // 2 :]) else "mono"


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two halves correlate in every frame that is not uniform."""
    pairs = [(_reduced(a).ravel(), _reduced(b).ravel()) for a, b in zip(one, other, strict=True)]
    seen = [np.corrcoef(a, b)[0, 1] for a, b in pairs if a.std() > FLAT and b.std() > FLAT]
    return bool(seen) and min(seen) > SAME_EYES


def _is_fisheye(frames: torch.Tensor) -> bool:
    """Whether the frames show one circle, or two side by side, on black."""
    H, W = frames.shape[1:3]
    row, column = (np.indices((HEIGHT, WIDTH)) + 0.5) / np.array([HEIGHT, WIDTH])[:, None, None] * 2 - 1
    if W > 1.5 * H:
        column = 2 * np.abs(column) - 1
    radius = np.hypot(row, column)
    means = [_reduced(frame).mean(-1) for frame in frames]
    return all(image[radius > 1.05].max() < DARK and image[radius < 0.95].mean() > 2 * DARK for image in means)


@lru_cache(maxsize=1)
def _erp_cut() -> Cut:
    """The seam between the left and the right edge of an equirectangular picture."""
    rows = np.arange(HEIGHT)
    columns = (0, WIDTH - 1, 1, WIDTH - 2)
    return Cut(*(np.stack([rows, np.full_like(rows, column)], axis=-1)[None] for column in columns))


@lru_cache(maxsize=1)
def _eac_cut() -> Cut:
    """The eight seams between faces that are not adjacent in an EAC picture, without their ends."""
    side, end = WIDTH // 3, 4  # faces are square, and 4 pixels are omitted at each end of an edge
    along = (np.arange(end, side - end) + 0.5) / side * 2 - 1
    edges: dict[frozenset[int], list[Pixels]] = {}
    for face in range(6):
        for axis, sign in ((0, -1), (0, 1), (1, -1), (1, 1)):
            place = np.stack([along, along], axis=-1)  # column and row coordinates on the face, within ±1
            place[:, axis] = sign
            rays = np.empty((len(along), 3))
            step = np.eye(2)[axis] * sign
            for part, value in enumerate((*np.tan(np.pi / 4 * (place + 1e-3 * step)).T, np.ones(len(along)))):
                where, turn = eac.FACES[face][part]
                rays[:, where] = turn * value
            beyond = torch.from_numpy(rays)
            other = eac.face_of(beyond)
            right, down, forward = eac.on_face(other, beyond)
            met = torch.stack([torch.atan2(right, forward), torch.atan2(down, forward)], dim=-1).numpy() * 4 / np.pi
            pair = frozenset((face, int(other[0])))
            inward = met * (np.abs(met) > 0.99)  # points outwards across the other face's edge; subtracted below
            sides = [
                _pixels(face, place - step / side, side), _pixels(int(other[0]), met - inward / side, side),
                _pixels(face, place - 3 * step / side, side), _pixels(int(other[0]), met - 3 * inward / side, side),
            ]  # fmt: skip
            if np.abs(sides[0] - sides[1]).max() > 1:
                edges.setdefault(pair, sides)
    return Cut(*(np.stack(group) for group in zip(*edges.values(), strict=True)))


def _pixels(face: int, place: NDArray[np.float64], side: int) -> Pixels:
    """Pixel rows and columns [n, 2] of points [n, 2] on a face, given as column and row coordinates within ±1."""
    across, down = np.floor((place.T + 1) / 2 * side).astype(np.int64).clip(0, side - 1)
    return np.stack([down + side * (face // 3), across + side * (face % 3)], axis=-1)
