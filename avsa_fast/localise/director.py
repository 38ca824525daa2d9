"""The camera that follows the loudest object: which object it follows, and how it moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, pi

import numpy as np
from numpy.typing import NDArray

from avsa_fast.maps.grid import peak_direction

from .moments import Direction, Moment

MARGIN = 0.1  # by which another object must be louder
HOLD = 1.0  # seconds for which it must be, or for which the followed object must be missing
SMOOTHING = 0.25  # time constant of the camera's motion, seconds


@dataclass
class Director:
    """Chooses whom the camera follows, with hysteresis, and moves it smoothly.

    Attributes:
        target: Track that is followed; None: none so far.
        rival: Track that was louder at the last moments.
        leading: Number of moments for which it was.
        missing: Number of moments for which the followed track has been missing.
        azimuth: Direction of the camera, radians, as is `elevation`; None: not placed so far.
        elevation: See `azimuth`.
    """

    target: int | None = None
    rival: int | None = None
    leading: int = 0
    missing: int = 0
    azimuth: float | None = None
    elevation: float = 0.0

    def goal(self, moment: Moment, rate: float) -> Direction | None:
        """Chooses the object to follow at the next moment.

        Args:
            moment: The moment.
            rate: Moments per second.

        Returns:
            Its direction; that of the map's maximum where no object is known; None if the camera should stay.
        """
        scores = {each.track: each.score for each in moment.objects}
        hold = max(1, round(HOLD * rate))
        best = max(scores, key=lambda track: scores[track], default=None)
        if self.target in scores:
            self.missing = 0
            if best != self.target and best is not None and scores[best] > scores[self.target] + MARGIN:
                self.leading = self.leading + 1 if best == self.rival else 1
                self.rival = best
            else:
                self.rival, self.leading = None, 0
            if self.leading >= hold:
                self.target, self.rival, self.leading = best, None, 0
        else:
            self.missing += 1
            self.rival, self.leading = None, 0
            if best is not None and (self.target is None or self.missing >= hold):
                self.target, self.missing = best, 0
            elif best is None and self.missing >= hold:
                self.target = None
        for each in moment.objects:
            if each.track == self.target:
                return each.box.azimuth, each.box.elevation
        return peak_direction(moment.heat) if self.target is None and float(moment.heat.max()) > 0 else None

    def move(
        self, times: Sequence[float], goals: Sequence[Direction | None], frames: Sequence[float]
    ) -> NDArray[np.float64]:
        """Moves the camera towards goals.

        Args:
            times: Times of the goals, seconds, increasing.
            goals: What `goal` returned at each.
            frames: Times of frames, equidistant.

        Returns:
            Direction of the camera in each frame, azimuth and elevation [n, 2], radians, with azimuth in [-pi, pi).
        """
        known = [(time, *goal) for time, goal in zip(times, goals, strict=True) if goal is not None]
        if self.azimuth is None:
            self.azimuth, self.elevation = known[0][1:] if known else (0.0, 0.0)
        if not known:
            known = [(times[0], self.azimuth, self.elevation)]
        at = [time for time, _, _ in known]
        azimuths = np.unwrap([self.azimuth, *(azimuth for _, azimuth, _ in known)])[1:]
        path = np.stack([np.interp(frames, at, azimuths), np.interp(frames, at, [e for *_, e in known])], axis=1)
        share = 1 - exp(-(frames[1] - frames[0]) / SMOOTHING) if len(frames) > 1 else 1.0
        position = np.array([self.azimuth, self.elevation])
        for number, wanted in enumerate(path):
            position = position + share * (wanted - position)
            path[number] = position
        path[:, 0] = (path[:, 0] + pi) % (2 * pi) - pi
        self.azimuth, self.elevation = map(float, path[-1])
        return path
