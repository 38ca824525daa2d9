"""Linking of a clip's boxes over time into tracks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import radians

import numpy as np
from scipy.optimize import linear_sum_assignment

from .boxes import SphereBox
from .merge import angle_between

MAX_MOVEMENT = radians(10)  # between two detections, in addition to half the object's size
MAX_GAP = 2  # consecutive moments that a track may miss


@dataclass
class End:
    """Where an active track ended so far.

    Attributes:
        track: Number of the track.
        moment: Number of the last moment at which it was found.
        box: Its box then.
    """

    track: int
    moment: int
    box: SphereBox


@dataclass
class Tracker:
    """Links boxes to tracks, greedily over time; a track has one class and at most one box per moment.

    Attributes:
        ends: Ends of the active tracks.
        moment: Number of moments so far.
        count: Number of tracks so far.
    """

    ends: list[End] = field(default_factory=list)
    moment: int = 0
    count: int = 0

    def add(self, boxes: Sequence[SphereBox]) -> list[int]:
        """Links the boxes of the next moment.

        Args:
            boxes: Boxes found in its frame.

        Returns:
            Track number of each box, from 0.
        """
        active = {end.track: end for end in self.ends if self.moment - end.moment <= MAX_GAP + 1}
        found = _matches(list(active.values()), boxes)
        row = []
        for number, box in enumerate(boxes):
            track = found.get(number, self.count)
            self.count += track == self.count
            active[track] = End(track, self.moment, box)
            row.append(track)
        self.ends = list(active.values())
        self.moment += 1
        return row


def link(moments: Sequence[Sequence[SphereBox]]) -> list[list[int]]:
    """Links the boxes of a whole clip to tracks with a `Tracker`.

    Args:
        moments: Boxes of each searched frame of a clip, in order.

    Returns:
        Track numbers, from 0, in the layout of `moments`.
    """
    tracker = Tracker()
    return [tracker.add(boxes) for boxes in moments]


def _matches(ends: Sequence[End], boxes: Sequence[SphereBox]) -> dict[int, int]:
    """Assigns boxes to tracks with the least total movement; returns the track by index of the box."""
    if not ends or not boxes:
        return {}
    cost = np.full((len(ends), len(boxes)), 1e3)
    for i, end in enumerate(end.box for end in ends):
        for j, box in enumerate(boxes):
            angle = angle_between(end, box)
            if end.label == box.label and angle < MAX_MOVEMENT + min(end.width, end.height, box.width, box.height) / 2:
                cost[i, j] = angle
    return {int(j): ends[i].track for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < 1e3}
