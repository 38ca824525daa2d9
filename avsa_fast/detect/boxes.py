"""Detections: rectangles in images and boxes on the sphere."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Rectangle:
    """An object in an image, in continuous pixel coordinates: the image's upper left corner is (0, 0).

    Attributes:
        left: Left edge, pixels.
        top: Upper edge, pixels.
        right: Right edge, pixels.
        bottom: Lower edge, pixels.
        label: Class.
        score: Confidence, 0 to 1.
    """

    left: float
    top: float
    right: float
    bottom: float
    label: str
    score: float


@dataclass(frozen=True)
class SphereBox:
    """An object on the sphere.

    Attributes:
        azimuth: Azimuth of the centre, radians.
        elevation: Elevation of the centre, radians.
        width: Angular width, radians.
        height: Angular height, radians.
        label: Class.
        score: Confidence, 0 to 1.
    """

    azimuth: float
    elevation: float
    width: float
    height: float
    label: str
    score: float


class Detector(Protocol):
    """Interface of object detectors for ordinary images."""

    def detect(self, images: Tensor) -> list[list[Rectangle]]:
        """Detects objects.

        Args:
            images: uint8 RGB [N, H, W, 3].

        Returns:
            One list of objects per image.
        """
        ...
