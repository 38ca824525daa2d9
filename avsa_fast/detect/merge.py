"""Merging of boxes on the sphere, so that an object seen in several views is reported once."""

from collections.abc import Sequence
from math import acos, asin, cos, pi, sin, sqrt

from .boxes import SphereBox

MAX_OVERLAP = 0.45  # intersection over union above which two boxes count as the same object


def angle_between(one: SphereBox, other: SphereBox) -> float:
    """Computes the great-circle angle between the centres of two boxes.

    Args:
        one: Box.
        other: Another box.

    Returns:
        The angle, radians.
    """
    (e1, e2), difference = (one.elevation, other.elevation), one.azimuth - other.azimuth
    haversine = sin((e1 - e2) / 2) ** 2 + cos(e1) * cos(e2) * sin(difference / 2) ** 2
    return 2 * asin(min(1.0, sqrt(haversine)))


def overlap(one: SphereBox, other: SphereBox) -> float:
    """Computes the intersection over union of two discs with the boxes' centres and areas.

    Unlike rectangles, discs do not depend on the orientation of the view.

    Args:
        one: Box.
        other: Another box.

    Returns:
        The ratio, 0 to 1.
    """
    r1, r2 = (sqrt(box.width * box.height / pi) for box in (one, other))
    distance, small, large = angle_between(one, other), min(r1, r2), max(r1, r2)
    if distance >= r1 + r2:
        return 0.0
    if distance <= large - small:
        return (small / large) ** 2 if large > 0 else 1.0
    a1 = acos((distance**2 + r1**2 - r2**2) / (2 * distance * r1))
    a2 = acos((distance**2 + r2**2 - r1**2) / (2 * distance * r2))
    lens = r1**2 * (a1 - sin(2 * a1) / 2) + r2**2 * (a2 - sin(2 * a2) / 2)
    return lens / (pi * (r1**2 + r2**2) - lens)


def merge(boxes: Sequence[SphereBox]) -> list[SphereBox]:
    """Applies non-maximum suppression on the sphere, regardless of class.

    Classes are ignored because views of an object from different angles often disagree on its class.

    Args:
        boxes: Boxes of one frame.

    Returns:
        The boxes that are kept, by decreasing score.
    """
    kept: list[SphereBox] = []
    for box in sorted(boxes, key=lambda box: (-box.score, box.label, box.azimuth, box.elevation)):
        if all(overlap(box, other) < MAX_OVERLAP for other in kept):
            kept.append(box)
    return kept
