"""Merging boxes on the sphere: one for each object, whichever views saw it."""

from collections.abc import Sequence
from math import acos, asin, cos, pi, sin, sqrt

from .boxes import Box

OVERLAP = 0.45  # intersection over union above which two boxes of a class are of one object


def angle_between(one: Box, other: Box) -> float:
    """Great-circle angle between two boxes' centres, radians."""
    (e1, e2), turn = (one.elevation, other.elevation), one.azimuth - other.azimuth
    haversine = sin((e1 - e2) / 2) ** 2 + cos(e1) * cos(e2) * sin(turn / 2) ** 2
    return 2 * asin(min(1.0, sqrt(haversine)))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of discs of the boxes' areas and centres, which are the same however a view is turned."""
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


def merge(boxes: Sequence[Box]) -> list[Box]:
    """Non-maximum suppression on the sphere: of boxes of one class that overlap, the one of the highest score."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: (-box.score, box.label, box.azimuth, box.elevation)):
        if all(box.label != other.label or overlap(box, other) < OVERLAP for other in kept):
            kept.append(box)
    return kept
