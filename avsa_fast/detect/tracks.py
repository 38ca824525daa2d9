"""Linking a clip's boxes over time."""

from collections.abc import Sequence
from math import radians

import numpy as np
from scipy.optimize import linear_sum_assignment

from .boxes import Box
from .merge import angle_between

REACH = radians(10)  # that an object may move between two detections, besides half its size
GAP = 2  # detections in a row that a track may miss


def link(moments: Sequence[Sequence[Box]]) -> list[list[int]]:
    """Track numbers of the boxes of a clip's moments, from 0 on; a track is of one class and never in two places."""
    numbers: list[list[int]] = []
    ends: dict[int, tuple[int, Box]] = {}  # of each living track: when and where it was last seen
    count = 0
    for moment, boxes in enumerate(moments):
        ends = {track: end for track, end in ends.items() if moment - end[0] <= GAP + 1}
        found = _matches(list(ends.items()), boxes)
        row = []
        for number, box in enumerate(boxes):
            track = found.get(number, count)
            count += track == count
            ends[track] = moment, box
            row.append(track)
        numbers.append(row)
    return numbers


def _matches(ends: Sequence[tuple[int, tuple[int, Box]]], boxes: Sequence[Box]) -> dict[int, int]:
    """Which track each box continues, so that all together move least."""
    if not ends or not boxes:
        return {}
    cost = np.full((len(ends), len(boxes)), 1e3)
    for i, (_, (_, end)) in enumerate(ends):
        for j, box in enumerate(boxes):
            angle = angle_between(end, box)
            if end.label == box.label and angle < REACH + min(end.width, end.height, box.width, box.height) / 2:
                cost[i, j] = angle
    return {int(j): ends[i][0] for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < 1e3}
