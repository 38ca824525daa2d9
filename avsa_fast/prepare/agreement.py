"""Whether sounds come from where the objects are in the picture, or would with channels exchanged or negated.

The density of directions that a clip's objects predict is compared with a uniform one, in bins of azimuth.
"""

from collections.abc import Sequence
from math import log, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 72  # of azimuth, 5° each
SPREAD = np.radians(12.0)  # standard deviation of a sound's azimuth around its object's
ELSEWHERE = 0.3  # probability that a sound comes from elsewhere
NEAR = 1.0  # seconds: objects this near in time count as present at a moment
INDEPENDENT = np.radians(30.0)  # sounds further apart than this are independent evidence
MAX_ELEVATION = np.radians(60.0)  # of sounds that are compared by their azimuth
FALSE_ALARMS = 1e-2  # probability of a false alarm in a clip whose sounds come from directions at random
MIN_CLIPS, MIN_SIGMAS = 20, 5.0  # of a statement about a whole dataset

Array = NDArray[np.float64]

# For the channels Y, Z, X as read: which of them, with which sign, would be the true Y, Z, X.
ALTERNATIVES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "left and right exchanged (Y negated)": ((0, 1, 2), (-1, 1, 1)),
    "front and back exchanged (X negated)": ((0, 1, 2), (1, 1, -1)),
    "turned by 180° (X and Y negated)": ((0, 1, 2), (-1, 1, -1)),
    "turned by 90° to the left": ((2, 1, 0), (1, 1, -1)),
    "turned by 90° to the right": ((2, 1, 0), (-1, 1, 1)),
    "X and Y exchanged": ((2, 1, 0), (1, 1, 1)),
    "X and Y exchanged and negated": ((2, 1, 0), (-1, 1, -1)),
    "the channels in the order W X Y Z": ((1, 2, 0), (1, 1, 1)),
}


class Sounds(NamedTuple):
    """The moments of a clip in which sound comes from one direction.

    Attributes:
        times: Seconds [n].
        vectors: Unit vectors [n, 3]: y, z, x.
    """

    times: Array
    vectors: Array


class Objects(NamedTuple):
    """The detections of a clip.

    Attributes:
        times: Seconds [m].
        azimuths: Radians [m].
    """

    times: Array
    azimuths: Array


class Disagreement(NamedTuple):
    """An alternative by which sounds agree with objects, as they do not as read.

    Attributes:
        name: A key of ALTERNATIVES.
        angle: Median angle in degrees between a sound's azimuth and the nearest object's, as read.
        alternative: The same by the alternative.
        odds: Logarithm of the likelihood ratio of the alternative to the sound as read.
    """

    name: str
    angle: float
    alternative: float
    odds: float


def disagreement(sounds: Sounds, objects: Objects) -> Disagreement | None:
    """Judges one clip: only one with sounds from many directions, near objects by one alternative, proves anything.

    Sounds from directions at random cause a false alarm with a probability of at most FALSE_ALARMS: the likelihood
    ratio of an alternative to such sounds has the mean 1, so it is rarely large (Markov's inequality).

    Args:
        sounds: The clip's sounds.
        objects: The clip's objects.

    Returns:
        The alternative, if there is strong evidence for one against the sound as read; else None.
    """
    needed = log(len(ALTERNATIVES) / FALSE_ALARMS)
    vectors = _low(sounds.vectors)
    if _extent(_azimuths(vectors)) * _log_ratios(np.zeros(1))[0] < needed:
        return None
    near = np.abs(sounds.times[:, None] - objects.times) <= NEAR  # [n, m]
    known = near.any(1) & np.isfinite(_azimuths(vectors))
    near, vectors = near[known], vectors[known]

    def judge(turned: Array) -> tuple[float, Array]:
        """Logarithm of the likelihood ratio to sounds at random, and each sound's angle to the nearest object."""
        azimuths = _azimuths(turned)
        angles = np.abs(_wrapped(azimuths[:, None] - objects.azimuths))
        ratios = np.log((np.exp(_log_ratios(angles)) * near).sum(1) / near.sum(1))
        extent = min(_extent(azimuths), _extent(_azimuths(vectors)))
        return float(ratios.mean()) * extent, np.where(near, angles, np.inf).min(1)

    if not len(vectors):
        return None
    own, own_angles = judge(vectors)
    judged = {name: judge(_turned(vectors, name)) for name in ALTERNATIVES}
    name = max(judged, key=lambda name: judged[name][0])
    odds, angles = judged[name]
    if odds < needed or odds - own < needed:
        return None
    return Disagreement(name, _degrees(own_angles), _degrees(angles), odds - own)


def agreement(sounds: Sequence[Sounds], objects: Sequence[Objects]) -> dict[str, float]:
    """Judges many clips of different recordings: whether sounds agree better with their own picture than with others.

    Args:
        sounds: The clips' sounds.
        objects: The clips' objects.

    Returns:
        For the sound as read (the key "as read") and each alternative, by how many standard deviations of random
        pairings (Hoeffding 1951) the agreement of sounds with their own pictures exceeds the mean; empty if fewer than
        MIN_CLIPS have both.
    """
    pairs = [(s, o) for s, o in zip(sounds, objects, strict=True) if len(_low(s.vectors)) and len(o.times)]
    if len(pairs) < MIN_CLIPS:
        return {}
    centres = (np.arange(BINS) + 0.5) / BINS * 2 * pi - pi
    predicted = np.array(
        [np.log(np.exp(_log_ratios(_wrapped(centres[:, None] - o.azimuths))).mean(1)) for _, o in pairs]
    )
    results = {}
    for name in ("as read", *ALTERNATIVES):
        heard = np.array([_histogram(_azimuths(_turned(_low(s.vectors), name))) for s, _ in pairs])
        scores = heard @ predicted.T
        centred = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
        deviation = float(np.sqrt(np.square(centred).sum() / (len(pairs) - 1)))
        results[name] = float(np.trace(centred)) / deviation if deviation > 1e-9 else 0.0
    return results


def _turned(vectors: Array, name: str) -> Array:
    order, signs = ALTERNATIVES.get(name, ((0, 1, 2), (1, 1, 1)))
    return vectors[:, order] * np.array(signs)


def _low(vectors: Array) -> Array:
    """Those of the unit vectors whose azimuth is well defined."""
    return vectors[np.abs(vectors[:, 1]) <= np.sin(MAX_ELEVATION)]


def _azimuths(vectors: Array) -> Array:
    return np.arctan2(vectors[:, 0], vectors[:, 2])


def _wrapped(angles: Array) -> Array:
    return (angles + pi) % (2 * pi) - pi


def _log_ratios(angles: Array) -> Array:
    """Logarithm of the density of sounds at these angles from an object, relative to a uniform one."""
    peak = (1 - ELSEWHERE) * np.sqrt(2 * pi) / SPREAD
    ratios: Array = np.log(peak * np.exp(-0.5 * np.square(angles / SPREAD)) + ELSEWHERE)
    return ratios


def _extent(azimuths: Array) -> float:
    """Number of independent directions: the covered angle, to 10°, in units of INDEPENDENT."""
    tenth = np.radians(10.0)
    return len(np.unique((azimuths // tenth).astype(int))) * tenth / INDEPENDENT


def _histogram(azimuths: Array) -> Array:
    counts = np.bincount(((azimuths + pi) / (2 * pi) * BINS).astype(int) % BINS, minlength=BINS)
    return counts / len(azimuths)


def _degrees(angles: Array) -> float:
    return float(np.degrees(np.median(angles)))
