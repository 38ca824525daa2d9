"""How a picture covers the sphere: by its metadata, else by whether its edges continue into each other.

A projection cuts the sphere open, and what was cut apart still fits: an equirectangular picture continues from its
right edge to its left one, an equi-angular cubemap from face to face. Edges that fit differ by no more than
neighbouring pixels do; unrelated ones, for which the same edge shifted along itself stands, by much more.
"""

from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from avsa_fast.errors import ClipError
from avsa_fast.reference import eac

from .spherical import Picture, Stereo

# What ops.gnomonic calls the sources that clips have; of stereoscopic ones the left eye's view is used.
Source = Literal["erp", "erp_top", "erp_left", "eac"]
SOURCES: tuple[Source, ...] = get_args(Source)

HEIGHT, WIDTH = 128, 192  # pixels that a view is reduced to: coarse content continues, grain does not
# Fit below which edges belong together. 13 panoramas and 3 videos fit to .10 or better as what they are, and no better
# than .77 as the other; perspective pictures of them from .22 (nothing but sky at both edges) to 1.04.
FITS = 0.3
SAME_EYES = 0.9  # correlation of the two eyes' views
FLAT = 2.0  # grey levels: edges whose unrelated parts differ by less tell nothing
DARK = 12.0  # grey levels of the surround of a fisheye's circle, at most

Image = NDArray[np.float32]
Pixels = NDArray[np.int64]  # [edges, n, 2]: row and column


class Cut(NamedTuple):
    """Edges that a projection cuts apart: the pixels on both sides, and those one further inside."""

    here: Pixels
    there: Pixels
    inside_here: Pixels
    inside_there: Pixels


def decide_source(picture: Picture, frames: torch.Tensor) -> Source:
    """The gnomonic source of a video with this metadata and frames [N, H, W, 3] uint8 of different moments.

    Raises ClipError (refused) where crops cannot be taken from it.
    """
    if picture.projection not in (None, "equirectangular", "mesh", "cubemap"):
        raise ClipError("refused", f"a {picture.projection} picture; equirectangular ones and YouTube's EAC are used")
    stereo = picture.stereo or _stereo(frames)
    if stereo == "unknown":
        raise ClipError("refused", "an unknown stereo layout; mono, over-under and side by side are used")
    if picture.projection in ("mesh", "cubemap"):  # YouTube's EAC is a mesh to its metadata
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
    """How far the edges that a source cuts apart are from continuing: 0 they do, about 1 they are unrelated.

    0 where there is nothing to tell by, as in black frames.
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
    """The part [..., h, w, 3] of frames [..., H, W, 3] that a source uses."""
    H, W = frames.shape[-3:-1]
    if source == "erp_top":
        return frames[..., : H // 2, :, :]
    return frames[..., : W // 2, :] if source == "erp_left" else frames


def check_size(source: Source, width: int, height: int) -> None:
    """Raises ClipError where a picture of this size cannot be cut into its source's views."""
    fits = {
        "erp": width % 2 == 0, "erp_top": width % 2 == height % 2 == 0, "erp_left": width % 4 == 0,
        "eac": height % 2 == 0 and min(width, height) >= 16,
    }  # fmt: skip
    if not fits[source]:
        raise ClipError("refused", f"{width}×{height} pixels, which do not divide into views of {source}")


def _reduced(view: torch.Tensor) -> Image:
    planes = view.permute(2, 0, 1).float()
    small = torch.nn.functional.adaptive_avg_pool2d(planes, (HEIGHT, WIDTH)).permute(1, 2, 0)
    return cast(Image, small.numpy())


def _stereo(frames: torch.Tensor) -> Stereo:
    """Whether a frame's halves are two eyes' views. Side by side they are at least three times as wide as high."""
    H, W = frames.shape[1:3]
    if _alike(frames[:, : H // 2], frames[:, H // 2 :]):
        return "top-bottom"
    return "left-right" if W >= 3 * H and _alike(frames[:, :, : W // 2], frames[:, :, W // 2 :]) else "mono"


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    pairs = [(_reduced(a).ravel(), _reduced(b).ravel()) for a, b in zip(one, other, strict=True)]
    seen = [np.corrcoef(a, b)[0, 1] for a, b in pairs if a.std() > FLAT and b.std() > FLAT]
    return bool(seen) and min(seen) > SAME_EYES


def _is_fisheye(frames: torch.Tensor) -> bool:
    """Whether the frames are one circle, or two side by side, on black."""
    H, W = frames.shape[1:3]
    row, column = (np.indices((HEIGHT, WIDTH)) + 0.5) / np.array([HEIGHT, WIDTH])[:, None, None] * 2 - 1
    if W > 1.5 * H:
        column = 2 * np.abs(column) - 1
    radius = np.hypot(row, column)
    means = [_reduced(frame).mean(-1) for frame in frames]
    return all(image[radius > 1.05].max() < DARK and image[radius < 0.95].mean() > 2 * DARK for image in means)


@lru_cache(maxsize=1)
def _erp_cut() -> Cut:
    """The left and the right edge."""
    rows = np.arange(HEIGHT)
    columns = (0, WIDTH - 1, 1, WIDTH - 2)
    return Cut(*(np.stack([rows, np.full_like(rows, column)], axis=-1)[None] for column in columns))


@lru_cache(maxsize=1)
def _eac_cut() -> Cut:
    """The eight edges between faces that are no neighbours in the picture, but for their ends."""
    side, end = WIDTH // 3, 4  # a face is as many pixels wide as high
    along = (np.arange(end, side - end) + 0.5) / side * 2 - 1
    edges: dict[frozenset[int], list[Pixels]] = {}
    for face in range(6):
        for axis, sign in ((0, -1), (0, 1), (1, -1), (1, 1)):
            place = np.stack([along, along], axis=-1)  # across and down the face, within ±1
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
            inward = met * (np.abs(met) > 0.99)  # the direction from the other face's edge to its outside
            sides = [
                _pixels(face, place - step / side, side), _pixels(int(other[0]), met - inward / side, side),
                _pixels(face, place - 3 * step / side, side), _pixels(int(other[0]), met - 3 * inward / side, side),
            ]  # fmt: skip
            if np.abs(sides[0] - sides[1]).max() > 1:
                edges.setdefault(pair, sides)
    return Cut(*(np.stack(group) for group in zip(*edges.values(), strict=True)))


def _pixels(face: int, place: NDArray[np.float64], side: int) -> Pixels:
    """Rows and columns [n, 2] of places [n, 2] (across and down, within ±1) on a face."""
    across, down = np.floor((place.T + 1) / 2 * side).astype(np.int64).clip(0, side - 1)
    return np.stack([down + side * (face // 3), across + side * (face % 3)], axis=-1)
