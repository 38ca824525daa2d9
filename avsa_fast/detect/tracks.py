"""Linking of a clip's boxes over time into tracks."""

from collections.abc import Sequence
from math import radians

import numpy as np
from scipy.optimize import linear_sum_assignment

from .boxes import SphereBox
from .merge import angle_between

MAX_MOVEMENT = radians(10)  # between two detections, in addition to half the object's size
MAX_GAP = 2  # consecutive moments that a track may miss


def link(moments: Sequence[Sequence[SphereBox]]) -> list[list[int]]:
    """Links boxes to tracks, greedily over time; a track has one class and at most one box per moment.

    Args:
        moments: Boxes of each searched frame of a clip, in order.

    Returns:
        Track numbers, from 0, in the layout of `moments`.
    """
    numbers: list[list[int]] = []
    ends: dict[int, tuple[int, SphereBox]] = {}  # last moment and box of each active track
    count = 0
    for moment, boxes in enumerate(moments):
        ends = {track: end for track, end in ends.items() if moment - end[0] <= MAX_GAP + 1}
        found = _matches(list(ends.items()), boxes)
        row = []
        for number, box in enumerate(boxes):
            track = found.get(number, count)
            count += track == count
            ends[track] = moment, box
            row.append(track)
        numbers.append(row)
    return numbers


def _matches(ends: Sequence[tuple[int, tuple[int, SphereBox]]], boxes: Sequence[SphereBox]) -> dict[int, int]:
    """Assigns boxes to tracks with the least total movement; returns the track by index of the box."""
    if not ends or not boxes:
        return {}
    cost = np.full((len(ends), len(boxes)), 1e3)
    for i, (_, (_, end)) in enumerate(ends):
        for j, box in enumerate(boxes):
            angle = angle_between(end, box)
            if end.label == box.label and angle < MAX_MOVEMENT + min(end.width, end.height, box.width, box.height) / 2:
                cost[i, j] = angle
    return {int(j): ends[i][0] for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < 1e3}
