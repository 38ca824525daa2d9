"""Sound source localisation: estimates the direction of the sound of the object in a crop.

Sound views over a spherical grid are compared with each object's crop; the direction of the best one is the estimate.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from avsa_fast.data.spans import ClipSpan
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.errors import UserError
from avsa_fast.maps.grid import angular_distance, erp_grid
from avsa_fast.maps.intensity import intensity_map
from avsa_fast.maps.similarity import SIZE, object_maps
from avsa_fast.run import Run

from .metrics import Metric, bootstrap_metric
from .truth import Truth

MAX_ERROR = 20.0  # maximum angular error of a correct estimate, in degrees


def localise(
    run: Run, sources: Sequence[ClipSpan], truth: Truth, truth_path: Path, *, moments: int,
    size: tuple[int, int] = SIZE, progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Metric]:  # fmt: skip
    """Computes angular error and accuracy within 20° over annotated objects at evenly spaced moments of each clip.

    The energy metrics are a baseline that ignores the picture: the direction of maximum sound energy. Chance level is
    that of a cell drawn uniformly from the grid.

    Args:
        run: Trained run.
        sources: Clips to evaluate.
        truth: Directions of the sounding objects.
        truth_path: Where `truth` was read from, for the error message.
        moments: Evenly spaced moments per clip; those without an annotated object are skipped.
        size: H and W of the grid; W must be a multiple of 4.
        progress: Called with the number of clips done and their total.

    Returns:
        Metrics by name, angular errors in degrees.

    Raises:
        UserError: If no object is annotated at any of the moments, or a clip cannot be read.
    """
    clips, errors, energy_errors, cell_errors = [], [], [], []
    grid = erp_grid(size)
    config = run.config.samples
    for number, source in enumerate(sources):
        for moment in range(moments):
            time = source.moment((moment + 0.5) / moments, config.seconds / 2)
            objects = torch.from_numpy(truth.at(source.name, time)).float()
            if not len(objects):
                continue
            frames = source.reader.frames(time, config.frames, config.fps, config.max_height)
            sound = source.reader.scene(time, config.seconds)
            maps = object_maps(run, frames, sound, objects, projection=source.projection, size=size)
            best = maps.flatten(1).argmax(dim=1)
            distances = angular_distance(objects[:, None], grid.flatten(0, 1)[None])  # [n, H * W]
            errors += distances[torch.arange(len(objects)), best].tolist()
            energy_errors += distances[:, intensity_map(sound, SAMPLE_RATE, size).argmax()].tolist()
            cell_errors.append(distances)
            clips += [source.name] * len(objects)
        progress(number + 1, len(sources))
    if not clips:
        raise UserError(f"{truth_path}: no objects are annotated in the held-out clips")
    cells = torch.cat(cell_errors)  # [objects, H * W]
    chance_error, chance_accuracy = float(cells.mean()), float((cells <= MAX_ERROR).float().mean())
    return {
        "angular_error": bootstrap_metric(errors, clips, chance_error),
        "median_angular_error": bootstrap_metric(errors, clips, float(cells.median()), statistic="median"),
        "accuracy_20_degrees": bootstrap_metric(np.array(errors) <= MAX_ERROR, clips, chance_accuracy),
        "energy_angular_error": bootstrap_metric(energy_errors, clips, chance_error),
        "energy_accuracy_20_degrees": bootstrap_metric(np.array(energy_errors) <= MAX_ERROR, clips, chance_accuracy),
    }
