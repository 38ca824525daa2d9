"""Image detectors applied to 360° frames: to the equirectangular frame itself, or to overlapping perspective views."""

from functools import lru_cache
from math import atan2, cos, hypot, pi, radians, sin, tan
from typing import Literal, Protocol

import torch
from torch import Tensor

from avsa_fast import ops
from avsa_fast.data.projection import Source, view_of
from avsa_fast.spatial import eac

from .boxes import Box, Detector, Rectangle
from .merge import merge

Views = Literal["erp", "tiles"]

TILE = 640  # width and height of a perspective view, pixels
FOV = radians(100)
# Directions (azimuth, elevation) of the views, radians: on the horizon, at elevations of ±45°, and at the poles.
TILES = [
    (azimuth * pi / 4, elevation * pi / 4)
    for elevation, azimuths in ((0, (0, 2, 4, 6)), (1, (1, 3, 5, 7)), (-1, (1, 3, 5, 7)), (2, (0,)), (-2, (0,)))
    for azimuth in azimuths
]
MARGIN = 3.0  # a rectangle closer than this to a view's border is assumed to be truncated, pixels


class SphereDetector(Protocol):
    """Interface of object detectors for 360° frames."""

    most: tuple[int, int]  # max useful width and height of the frames, pixels

    def detect(self, frames: Tensor, source: Source) -> list[list[Box]]:
        """Detects objects.

        Args:
            frames: uint8 RGB [N, H, W, 3].
            source: Projection of the frames, as in `ops.gnomonic`.

        Returns:
            One list of boxes per frame.
        """
        ...


def on_sphere(detector: Detector, views: Views) -> SphereDetector:
    """Wraps an image detector as a detector for 360° frames.

    Args:
        detector: Image detector.
        views: Images to run it on: the equirectangular frame ("erp") or perspective views ("tiles").
    """
    return ErpDetector(detector) if views == "erp" else TileDetector(detector)


class ErpDetector:
    """Detects on the whole equirectangular frame, as in the paper; cubemaps are first converted to ERP."""

    most = 1280, 640  # pixels: YOLO's input is at most 1280 wide

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def detect(self, frames: Tensor, source: Source) -> list[list[Box]]:
        """Detects objects; see `SphereDetector.detect`."""
        erp = _to_erp(frames) if source == "eac" else view_of(frames, source)
        size = erp.shape[2], erp.shape[1]
        return [[erp_box(found, size) for found in each] for each in self._detector.detect(erp)]


class TileDetector:
    """Detects on overlapping perspective views, which show objects near the poles without distortion.

    Rectangles truncated by a view's border are discarded: another view shows the whole object. Objects too large for
    every view are taken from the equirectangular frame, which is searched too. Boxes of all views are merged.
    """

    most = 4096, 1024

    def __init__(self, detector: Detector) -> None:
        self._detector, self._whole = detector, ErpDetector(detector)

    def detect(self, frames: Tensor, source: Source) -> list[list[Box]]:
        """Detects objects; see `SphereDetector.detect`."""
        directions = torch.tensor(TILES)[None].expand(len(frames), -1, -1)
        tiles = ops.gnomonic(frames[:, None], directions, FOV, (TILE, TILE), source=source, dtype=torch.uint8)
        images = tiles[:, :, :, 0].permute(0, 1, 3, 4, 2).flatten(0, 1)  # [N K, h, w, 3]
        found = self._detector.detect(images)
        boxes = []
        for number, whole in enumerate(self._whole.detect(frames, source)):
            views = found[number * len(TILES) : (number + 1) * len(TILES)]
            seen = [
                tile_box(each, direction)
                for direction, view in zip(TILES, views, strict=True)
                for each in view
                if not _is_cut(each)
            ]
            boxes.append(merge(seen + [box for box in whole if _only_in_erp(box)]))
        return boxes


def erp_box(found: Rectangle, size: tuple[int, int]) -> Box:
    """Converts a rectangle of an equirectangular frame to a box on the sphere.

    Args:
        found: Rectangle in the frame.
        size: Width and height of the frame, pixels.
    """
    width, height = size
    return Box(
        azimuth=(0.5 - (found.left + found.right) / 2 / width) * 2 * pi,
        elevation=(0.5 - (found.top + found.bottom) / 2 / height) * pi,
        width=(found.right - found.left) / width * 2 * pi,
        height=(found.bottom - found.top) / height * pi,
        label=found.label,
        score=found.score,
    )


def tile_box(found: Rectangle, direction: tuple[float, float]) -> Box:
    """Converts a rectangle of a perspective view to a box on the sphere.

    The box's centre bisects the rectangle's horizontal and vertical angles.

    Args:
        found: Rectangle in the view.
        direction: Azimuth and elevation of the view's centre, radians.
    """
    focal = TILE / 2 / tan(FOV / 2)
    x1, x2 = (atan2(x - TILE / 2, focal) for x in (found.left, found.right))
    y1, y2 = (atan2(y - TILE / 2, focal) for y in (found.top, found.bottom))
    right, down = tan((x1 + x2) / 2), tan((y1 + y2) / 2)
    azimuth, elevation = direction
    # The ray (1, -right, -down), rotated by Ry(-elevation); the azimuth is added below.
    x, y, z = cos(elevation) + sin(elevation) * down, -right, sin(elevation) - cos(elevation) * down
    return Box(
        azimuth=(azimuth + atan2(y, x) + pi) % (2 * pi) - pi,
        elevation=atan2(z, hypot(x, y)),
        width=(x2 - x1) * cos(atan2(down, hypot(1, right))),
        height=(y2 - y1) * cos(atan2(right, hypot(1, down))),
        label=found.label,
        score=found.score,
    )


def _is_cut(found: Rectangle) -> bool:
    return min(found.left, found.top, TILE - found.right, TILE - found.bottom) < MARGIN


def _only_in_erp(box: Box) -> bool:
    """Whether an object may be too large for every perspective view, and is far enough from the poles for ERP."""
    return box.width > FOV / 2 and abs(box.elevation) + box.height / 2 < 3 * pi / 8


def _to_erp(frames: Tensor) -> Tensor:
    """Converts equi-angular cubemaps [N, H, W, 3] to equirectangular frames [N, H, 2H, 3], with bilinear sampling."""
    rows, columns, weights = _erp_taps(frames.shape[1], frames.shape[2])
    out = torch.zeros(len(frames), *rows.shape[1:], 3)
    for row, column, weight in zip(rows, columns, weights, strict=True):
        out += frames[:, row, column].float() * weight[..., None]
    return out.round().to(torch.uint8)


@lru_cache(maxsize=4)
def _erp_taps(H: int, W: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and weights [4, H, 2H] of the cubemap texels that each pixel of the ERP frame interpolates."""
    azimuth = (0.5 - (torch.arange(2 * H).double() + 0.5) / (2 * H)) * 2 * pi
    elevation = ((0.5 - (torch.arange(H).double() + 0.5) / H) * pi)[:, None]
    rays = torch.stack(
        [elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin().expand(-1, 2 * H)], dim=-1
    )
    taps = eac.corners(rays.reshape(-1, 3), eac.Geometry(H, W, 0.5, 1.0))
    rows, columns, weights = (torch.stack(part).reshape(4, H, 2 * H) for part in zip(*taps, strict=True))
    return rows.clamp(0, H - 1), columns.clamp(0, W - 1), weights.float()
