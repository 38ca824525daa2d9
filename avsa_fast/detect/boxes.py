"""What detectors find: rectangles in pictures, boxes on the sphere."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Rectangle:
    """An object in a picture, in continuous pixel coordinates: the picture's upper left corner is (0, 0)."""

    left: float
    top: float
    right: float
    bottom: float
    label: str
    score: float


@dataclass(frozen=True)
class Box:
    """An object on the sphere: the direction of its centre and its angular size, radians."""

    azimuth: float
    elevation: float
    width: float
    height: float
    label: str
    score: float


class Detector(Protocol):
    """Any detector of objects in ordinary pictures."""

    def detect(self, images: Tensor) -> list[list[Rectangle]]:
        """Objects in each picture of uint8 RGB [N, H, W, 3]."""
        ...
