"""Sound source localisation: estimates the direction of the sound of the object in a crop.

Sound views over a grid of equal areas are compared with each object's crop; the direction of the best one is the
estimate. Baselines that do not look, do not listen, or listen without the network are computed on the same objects.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import pi, sin
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avsa_fast.data.directions import Detections
from avsa_fast.data.recordings import recording_of
from avsa_fast.data.spans import ClipSpan
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.errors import UserError
from avsa_fast.maps.grid import angular_distance, equal_area_grid, peak_direction
from avsa_fast.maps.intensity import intensity_map
from avsa_fast.maps.similarity import SIZE, object_maps
from avsa_fast.run import Run

from .metrics import Cases
from .truth import Truth

MAX_ERROR = 20.0  # maximum angular error of a correct estimate, in degrees
SAME_OBJECT = 10.0  # degrees within which a detection is an annotated object
AZIMUTHS, ELEVATIONS = 360, 16  # directions of the baselines that know the elevation


def localise(
    run: Run, sources: Sequence[ClipSpan], truth: Truth, truth_path: Path, *, moments: int,
    detections: Detections | None = None, size: tuple[int, int] = SIZE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Cases]:  # fmt: skip
    """Finds the sounds of annotated objects at evenly spaced moments of each clip.

    Args:
        run: Trained run.
        sources: Clips to evaluate.
        truth: Directions of the sounding objects.
        truth_path: Where `truth` was read from, for the error message.
        moments: Evenly spaced moments per clip; those without an annotated object are skipped.
        detections: Objects that are seen. Those that are not annotated are silent, and compete for "which object".
        size: H and W of the grid; W must be a multiple of 4.
        progress: Called with the number of clips done and their total.

    Returns:
        Cases by name of the metric, one per object, angular errors in degrees. The chance of errors and accuracies is
        that of a direction drawn uniformly from the sphere.

    Raises:
        UserError: If no object is annotated at any of the moments, or a clip cannot be read.
    """
    found = _Found()
    grid = equal_area_grid(size)
    config = run.config.samples
    for number, source in enumerate(sources):
        for moment in range(moments):
            time = source.moment((moment + 0.5) / moments, config.seconds / 2)
            objects = torch.from_numpy(truth.at(source.name, time)).float()
            if not len(objects):
                continue
            frames = source.reader.frames(time, config.frames, config.fps, config.max_height)
            sound = source.reader.scene(time, config.seconds)
            maps = object_maps(run, frames, sound, objects, projection=source.projection, grid=grid)
            estimates = grid.flatten(0, 1)[maps.flatten(1).argmax(dim=1)]
            loudest = torch.tensor(peak_direction(intensity_map(sound, SAMPLE_RATE)))
            silent = _silent(objects, detections, source.name, time)
            found.add(recording_of(source.name), objects, torch.cat([objects, silent]), estimates, loudest)
        progress(number + 1, len(sources))
    if not found.recordings:
        raise UserError(f"{truth_path}: no objects are annotated in the held-out clips")
    return found.cases(grid.flatten(0, 1))


def _silent(objects: Tensor, detections: Detections | None, name: str, time: float) -> Tensor:
    """Directions [m, 2] of detected objects other than the annotated ones [n, 2]."""
    if detections is None:
        return torch.empty(0, 2)
    seen = torch.from_numpy(detections.at(name, time)).float()
    return seen[(angular_distance(seen[:, None], objects[None]) > SAME_OBJECT).all(dim=1)]


class _Found:
    """What was found object by object.

    Attributes:
        recordings: Recording of each object [n].
    """

    def __init__(self) -> None:
        self.recordings: list[str] = []
        self._objects: list[Tensor] = []  # [2] each
        self._errors: dict[str, list[float]] = defaultdict(list)  # degrees, by estimate
        self._right: dict[str, list[float]] = defaultdict(list)  # whether the right object is nearest, by estimate
        self._rivals: list[float] = []  # chance of the right object
        self._rivalled: list[str] = []  # recordings of the objects that have rivals
        self._near: list[float] = []  # share of the visible objects within MAX_ERROR of the right one

    def add(self, recording: str, objects: Tensor, visible: Tensor, estimates: Tensor, loudest: Tensor) -> None:
        """Adds the n objects of a moment: [n, 2]; visible ones [m, 2], the n first; estimates [n, 2]; [2]."""
        n, m = len(objects), len(visible)
        turned = visible[angular_distance(visible, loudest).argmin()]
        kinds = {"": estimates, "energy_": loudest.expand(n, 2), "energy_object_": turned.expand(n, 2)}
        for kind, directions in kinds.items():
            self._errors[kind] += angular_distance(objects, directions).tolist()
            if m > 1:
                nearest = angular_distance(directions[:, None], visible[None]).argmin(dim=1)
                self._right[kind] += (nearest == torch.arange(n)).double().tolist()
        if m > 1:
            self._rivals += [1 / m] * n
            self._rivalled += [recording] * n
        self._near += (angular_distance(objects[:, None], visible[None]) <= MAX_ERROR).double().mean(dim=1).tolist()
        self._objects += list(objects)
        self.recordings += [recording] * n

    def cases(self, cells: Tensor) -> dict[str, Cases]:
        """All metrics; cells [G, 2] of equal area."""
        objects = torch.stack(self._objects)
        chance = angular_distance(objects[:, None], cells[None])  # [n, G]
        chance_accuracy = float((chance <= MAX_ERROR).double().mean())
        scores = {}
        for kind, errors in self._errors.items():
            values = np.array([errors])
            scores[f"{kind}angular_error"] = Cases(values, self.recordings, float(chance.mean()))
            scores[f"{kind}accuracy_20_degrees"] = Cases(values <= MAX_ERROR, self.recordings, chance_accuracy)
            if self._rivals:
                right = np.array([self._right[kind]])
                scores[f"{kind}which_object"] = Cases(right, self._rivalled, float(np.mean(self._rivals)))
        median = np.array([self._errors[""]])
        scores["median_angular_error"] = Cases(median, self.recordings, float(chance.median()), "median")
        band = _band(float(objects[:, 1].min()), float(objects[:, 1].max()))
        baselines = {
            "elevation_band": _share_near(objects, band), "horizon": _share_near(objects, _band(0, 0)),
            "random_object": np.array(self._near),
        }  # fmt: skip
        for name, shares in baselines.items():
            scores[f"{name}_accuracy_20_degrees"] = Cases(shares[None], self.recordings, chance_accuracy)
        return scores


def _band(low: float, high: float) -> Tensor:
    """Directions [G, 2] that stand for equal areas between two elevations in radians."""
    azimuth = torch.arange(AZIMUTHS) * (2 * pi / AZIMUTHS)
    heights = sin(low) + (torch.arange(ELEVATIONS) + 0.5) / ELEVATIONS * (sin(high) - sin(low))
    return torch.cartesian_prod(azimuth, torch.asin(heights))


def _share_near(objects: Tensor, directions: Tensor) -> np.ndarray:
    """Share of directions [G, 2] within MAX_ERROR of each object [n, 2]: [n]."""
    near = angular_distance(objects[:, None], directions[None]) <= MAX_ERROR
    return np.asarray(near.double().mean(dim=1).numpy())
