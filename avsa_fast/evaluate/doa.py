"""Direction probe: the direction of a single sound by ridge regression from frozen audio embeddings."""

from collections.abc import Callable, Sequence
from math import pi
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from avsa_fast import ops
from avsa_fast.data.recordings import recording_of
from avsa_fast.data.samples import Sample
from avsa_fast.data.spans import ClipSpan
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.errors import UserError
from avsa_fast.run import Run
from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.sound import direction_of_arrival

from .metrics import Cases
from .truth import Truth

PENALTIES = np.logspace(-2, 5, 15)  # of the regression, chosen by leave-one-out on the training clips
CHANCE = 90.0  # degrees, of a direction drawn uniformly from the sphere
MAX_ERROR = 20.0  # of a correct estimate, in degrees

Floats = NDArray[np.float64]


class Moments(NamedTuple):
    """Moments at which one sound is annotated.

    Attributes:
        clips: Names of the clips, n.
        directions: Unit vectors towards the sounds [n, 3].
        inputs: What directions are estimated from, by name of the method: [n, D]; for "intensity", the estimates.
    """

    clips: list[str]
    directions: Floats
    inputs: dict[str, Floats]


def probe_directions(
    run: Run, train: Sequence[ClipSpan], held_out: Sequence[ClipSpan], truth: Truth, truth_path: Path, *, moments: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Cases]:  # fmt: skip
    """Computes the angular errors of directions that are estimated from the sound of a second.

    The regression maps standardised inputs to unit vectors: embeddings of the sound as it is, and as a baseline the
    mean log-mel spectra of its four channels. The other baseline is the direction of its mean intensity, without
    training.

    Args:
        run: Trained run.
        train: Clips to fit the regression on.
        held_out: Clips to evaluate on.
        truth: Directions of the sounding objects.
        truth_path: Where `truth` was read from, for the error message.
        moments: Evenly spaced moments per clip; those without exactly one annotated object are skipped.
        progress: Called with the number of clips done and their total.

    Returns:
        Cases by name of the metric, angular errors in degrees.

    Raises:
        UserError: Too few moments have exactly one annotated object, or a clip cannot be read.
    """
    total = len(train) + len(held_out)
    fitted = _cases(run, train, truth, moments, lambda done: progress(done, total))
    tested = _cases(run, held_out, truth, moments, lambda done: progress(len(train) + done, total))
    for cases, which, least in ((fitted, "training", 2), (tested, "held-out", 1)):
        if len(cases.clips) < least:
            raise UserError(
                f"{truth_path}: {len(cases.clips)} moments of the {which} clips have exactly one annotated object; the "
                f"direction probe needs at least {least}; scenes --sources 1 makes such clips"
            )
    recordings = [recording_of(name) for name in tested.clips]
    scores: dict[str, Cases] = {}
    for method, prefix in (("embedding", "doa"), ("log_mel", "doa_log_mel"), ("intensity", "doa_intensity")):
        estimates = tested.inputs[method]
        if method != "intensity":
            estimates = regressed(fitted.inputs[method], fitted.directions, estimates)
        errors = angles(estimates, tested.directions)
        scores[f"{prefix}_angular_error"] = Cases(errors[None], recordings, CHANCE)
        near = (1 - np.cos(np.radians(MAX_ERROR))) / 2  # share of the sphere
        scores[f"{prefix}_accuracy_20_degrees"] = Cases(errors[None] <= MAX_ERROR, recordings, near)
    return scores


def regressed(inputs: Floats, directions: Floats, new: Floats) -> Floats:
    """Estimates directions by a ridge regression.

    Args:
        inputs: [n, D] of the training cases.
        directions: Their unit vectors [n, 3].
        new: [m, D] of other cases.

    Returns:
        Vectors [m, 3], of any length.
    """
    model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    model.fit(inputs, directions)
    estimates: Floats = model.predict(new)
    return estimates


def angles(a: Floats, b: Floats) -> Floats:
    """Returns the angles between vectors [n, 3] in degrees, accurate also if they are small.

    Args:
        a: Vectors of any length but 0.
        b: Likewise.
    """
    sine, cosine = np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1)
    result: Floats = np.degrees(np.arctan2(sine, cosine))
    return result


def _cases(run: Run, spans: Sequence[ClipSpan], truth: Truth, moments: int, progress: Callable[[int], None]) -> Moments:
    """The moments of clips at which one sound is annotated, with the inputs of all methods."""
    clips: list[str] = []
    directions: list[np.ndarray] = []
    inputs: dict[str, list[np.ndarray]] = {"embedding": [], "log_mel": [], "intensity": []}
    seconds = run.config.samples.seconds
    for number, span in enumerate(spans):
        for moment in range(moments):
            time = span.moment((moment + 0.5) / moments, seconds / 2)
            objects = truth.at(span.name, time)
            if len(objects) != 1:
                continue
            sound = span.reader.scene(time, seconds)
            clips.append(span.name)
            directions.append(unit_vectors(objects[0]))
            inputs["embedding"].append(_embedding(run, sound))
            inputs["log_mel"].append(_log_mel(sound, run.config.views.n_mels))
            inputs["intensity"].append(unit_vectors(direction_of_arrival(sound.numpy())))
        progress(number + 1)
    stacked = {name: np.array(values, np.float64) for name, values in inputs.items()}
    return Moments(clips, np.array(directions, np.float64).reshape(-1, 3), stacked)


def _embedding(run: Run, sound: Tensor) -> np.ndarray:
    """Embedding [E] of a sound [4, T] as it is: the view to the front."""
    front, fov, flip = np.zeros((1, 2), np.float32), np.full(1, pi / 2, np.float32), np.zeros(1, bool)
    sample = Sample("", "erp", torch.empty(0), sound, front, fov, flip, None, {})
    return run.audio([sample])[0, 0].cpu().numpy()


def _log_mel(sound: Tensor, n_mels: int) -> np.ndarray:
    """Mean log-mel spectra [4 * n_mels] of a sound [4, T]."""
    features = ops.spatial_features(sound, spatial=None, n_mels=n_mels, sample_rate=SAMPLE_RATE)
    return features.mean(dim=-1).flatten().numpy()
