"""Image detectors applied to 360° frames: to the equirectangular frame itself, or to overlapping perspective views."""

from math import atan2, cos, hypot, pi, radians, sin, tan
from typing import Protocol

import torch
from torch import Tensor

from avsa_fast import ops
from avsa_fast.choices import DetectorViews as DetectorViews
from avsa_fast.data.projection import Projection, to_erp

from .boxes import Detector, Rectangle, SphereBox
from .merge import merge

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
    """Interface of object detectors for 360° frames.

    Attributes:
        max_size: Maximum useful width and height of the frames, pixels.
    """

    max_size: tuple[int, int]

    def detect(self, frames: Tensor, projection: Projection) -> list[list[SphereBox]]:
        """Detects objects.

        Args:
            frames: uint8 RGB [N, H, W, 3].
            projection: Projection of the frames.

        Returns:
            One list of boxes per frame.
        """
        ...


def sphere_detector(detector: Detector, views: DetectorViews) -> SphereDetector:
    """Wraps an image detector as a detector for 360° frames.

    Args:
        detector: Image detector.
        views: Images to run it on: the equirectangular frame ("erp") or perspective views ("tiles").

    Returns:
        The detector for 360° frames.
    """
    return ErpDetector(detector) if views == "erp" else TileDetector(detector)


class ErpDetector:
    """Detects on the whole equirectangular frame, as in the paper; cubemaps are first converted to ERP."""

    max_size = 1280, 640  # YOLO's input is at most 1280 wide

    def __init__(self, detector: Detector) -> None:
        """Stores the image detector.

        Args:
            detector: Image detector to run on the frames.
        """
        self._detector = detector

    def detect(self, frames: Tensor, projection: Projection) -> list[list[SphereBox]]:
        """Detects objects; see `SphereDetector.detect`."""
        erp = to_erp(frames, projection)
        size = erp.shape[2], erp.shape[1]
        return [[erp_box(found, size) for found in each] for each in self._detector.detect(erp)]


class TileDetector:
    """Detects on overlapping perspective views, which show objects near the poles without distortion.

    Rectangles truncated by a view's border are discarded: another view shows the whole object. Objects too large for
    every view are taken from the equirectangular frame, which is searched too. Boxes of all views are merged.
    """

    max_size = 4096, 1024

    def __init__(self, detector: Detector) -> None:
        """Stores the image detector.

        Args:
            detector: Image detector to run on the views and the frames.
        """
        self._detector, self._erp_detector = detector, ErpDetector(detector)

    def detect(self, frames: Tensor, projection: Projection) -> list[list[SphereBox]]:
        """Detects objects; see `SphereDetector.detect`."""
        directions = torch.tensor(TILES)[None].expand(len(frames), -1, -1)
        tiles = ops.gnomonic(frames[:, None], directions, FOV, (TILE, TILE), source=projection, dtype=torch.uint8)
        images = tiles[:, :, :, 0].permute(0, 1, 3, 4, 2).flatten(0, 1)  # [N K, h, w, 3]
        found = self._detector.detect(images)
        boxes = []
        for number, erp_boxes in enumerate(self._erp_detector.detect(frames, projection)):
            views = found[number * len(TILES) : (number + 1) * len(TILES)]
            tile_boxes = [
                tile_box(each, direction)
                for direction, view in zip(TILES, views, strict=True)
                for each in view
                if not _is_truncated(each)
            ]
            boxes.append(merge(tile_boxes + [box for box in erp_boxes if _only_in_erp(box)]))
        return boxes


def erp_box(found: Rectangle, size: tuple[int, int]) -> SphereBox:
    """Converts a rectangle of an equirectangular frame to a box on the sphere.

    Args:
        found: Rectangle in the frame.
        size: Width and height of the frame, pixels.

    Returns:
        The box on the sphere.
    """
    width, height = size
    return SphereBox(
        azimuth=(0.5 - (found.left + found.right) / 2 / width) * 2 * pi,
        elevation=(0.5 - (found.top + found.bottom) / 2 / height) * pi,
        width=(found.right - found.left) / width * 2 * pi,
        height=(found.bottom - found.top) / height * pi,
        label=found.label,
        score=found.score,
    )


def tile_box(found: Rectangle, direction: tuple[float, float]) -> SphereBox:
    """Converts a rectangle of a perspective view to a box on the sphere.

    The box's centre bisects the rectangle's horizontal and vertical angles.

    Args:
        found: Rectangle in the view.
        direction: Azimuth and elevation of the view's centre, radians.

    Returns:
        The box on the sphere.
    """
    focal = TILE / 2 / tan(FOV / 2)
    x1, x2 = (atan2(x - TILE / 2, focal) for x in (found.left, found.right))
    y1, y2 = (atan2(y - TILE / 2, focal) for y in (found.top, found.bottom))
    right, down = tan((x1 + x2) / 2), tan((y1 + y2) / 2)
    azimuth, elevation = direction
    # The ray (1, -right, -down), rotated by Ry(-elevation); the azimuth is added below.
    x, y, z = cos(elevation) + sin(elevation) * down, -right, sin(elevation) - cos(elevation) * down
    return SphereBox(
        azimuth=(azimuth + atan2(y, x) + pi) % (2 * pi) - pi,
        elevation=atan2(z, hypot(x, y)),
        width=(x2 - x1) * cos(atan2(down, hypot(1, right))),
        height=(y2 - y1) * cos(atan2(right, hypot(1, down))),
        label=found.label,
        score=found.score,
    )


def _is_truncated(found: Rectangle) -> bool:
    return min(found.left, found.top, TILE - found.right, TILE - found.bottom) < MARGIN


def _only_in_erp(box: SphereBox) -> bool:
    """Whether an object may be too large for every perspective view, and is far enough from the poles for ERP."""
    return box.width > FOV / 2 and abs(box.elevation) + box.height / 2 < 3 * pi / 8
