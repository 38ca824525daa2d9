"""Order of the clips in training: steps in which no recording comes twice, as far as there are enough recordings."""

from collections.abc import Sequence
from math import ceil, gcd
from typing import Any

import numpy as np

from .recordings import recording_of

Numbers = np.ndarray[Any, np.dtype[np.int64]]


def steps_per_epoch(clips: int, per_step: int, repeats: int) -> int:
    """Returns the number of steps in an epoch, in which each clip is visited `repeats` times.

    Args:
        clips: Number of clips.
        per_step: Visits per step; visits that do not fill a step are left out.
        repeats: Visits of each clip.

    Returns:
        The number of steps, at least 1.
    """
    return max(1, clips * repeats // per_step)


class Visits:
    """Sequence of visits to clips, which depends only on the clips, the seed and a visit's number.

    In a step, no recording comes more often than `most` = ceil(visits per step / recordings) times: once while there
    are as many recordings as visits. In an epoch, clips are visited `repeats` times, but for the visits that do not
    fill a step. If a recording has so many clips that they do not fit into an epoch's steps, they take turns, and the
    clips of the other recordings are visited more often.

    Attributes:
        per_step: Visits per step.
        steps: Steps per epoch.
        recordings: Number of recordings.
        most: Greatest number of visits to one recording in a step.
    """

    def __init__(self, names: Sequence[str], per_step: int, repeats: int, seed: Sequence[int]) -> None:
        """Groups the clips by recording.

        Args:
            names: Names of the clips, at least one.
            per_step: Visits per step.
            repeats: Visits of each clip per epoch.
            seed: Numbers that determine the order.
        """
        _, self._recording = np.unique([recording_of(name) for name in names], return_inverse=True)
        self._sizes = np.bincount(self._recording)
        self._seed, self._order = list(seed), np.random.default_rng(seed).permutation(len(names))
        self.per_step, self.steps = per_step, steps_per_epoch(len(names), per_step, repeats)
        self.recordings = len(self._sizes)
        self.most = ceil(per_step / self.recordings)
        self._epoch: tuple[int, Numbers] | None = None  # the last one drawn

    def clip(self, visit: int, attempt: int = 0) -> int:
        """Returns the number of a clip.

        Args:
            visit: Number of the visit.
            attempt: How many clips were tried for this visit and could not be read; others, of recordings that the
                step does not have if there are any, take their place.
        """
        step, slot = divmod(visit, self.per_step)
        epoch, row = divmod(step, self.steps)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._draw(epoch)
        clips = self._epoch[1][row]
        if attempt == 0:
            return int(clips[slot])
        spares = self._spares(clips, np.random.default_rng([*self._seed, epoch, row]))
        stride = self.per_step
        while gcd(stride, len(spares)) > 1:  # so that all clips are tried before one is tried again
            stride += 1
        return int(spares[(slot + (attempt - 1) * stride) % len(spares)])

    def _draw(self, epoch: int) -> Numbers:
        """Clips [steps, per_step] of an epoch."""
        rng = np.random.default_rng([*self._seed, epoch])
        counts = self._counts(rng)
        # Visits in the order of recordings; each recording's clips come equally often, some once more, in turns.
        rank = rng.permutation(self.recordings)
        clips = np.lexsort((self._order, rank[self._recording]))
        recording = self._recording[clips]
        starts = np.flatnonzero(np.diff(recording, prepend=-1))
        position = np.arange(len(clips)) - np.repeat(starts, self._sizes[recording[starts]])
        share, rest = np.divmod(counts[recording], self._sizes[recording])
        turn = (position - epoch * counts[recording]) % self._sizes[recording]
        visits = np.repeat(clips, share + (turn < rest))
        drawn = np.empty((self.steps, self.per_step), np.int64)
        layers = visits.reshape(self.per_step, self.steps)
        drawn[_deal(self._recording[layers], rng), np.arange(self.per_step)[:, None]] = layers
        return rng.permuted(drawn, axis=1)

    def _counts(self, rng: np.random.Generator) -> Numbers:
        """Visits of each recording in an epoch: in proportion to its clips, but at most `most` per step."""
        total, limit = self.steps * self.per_step, self.most * self.steps
        order = np.argsort(-self._sizes, kind="stable")
        sizes = self._sizes[order]
        # Visits per clip if the k largest recordings reach the limit, for all k; the first that is possible holds.
        others = sizes[::-1].cumsum()[::-1]
        factors = (total - limit * np.arange(len(sizes))) / others
        possible = np.flatnonzero(factors * sizes <= limit)
        factor = factors[possible[0]] if len(possible) else np.inf
        exact = np.minimum((self._sizes * factor).round(9), limit)
        # Rounded at random, up as often as the total needs.
        shuffled = rng.permutation(len(exact))
        sums = np.cumsum((exact % 1)[shuffled])
        sums[-1] = round(sums[-1])
        counts: Numbers = np.floor(exact).astype(np.int64)
        counts[shuffled] += np.diff(np.floor(sums + rng.random()), prepend=0).astype(np.int64)
        return counts

    def _spares(self, clips: Numbers, rng: np.random.Generator) -> Numbers:
        """Clips in random order: one of each recording that the step does not have, then all others."""
        shuffled = rng.permutation(len(self._recording))
        recording = self._recording[shuffled]
        _, first = np.unique(recording, return_index=True)
        spare = np.zeros(len(shuffled), bool)
        spare[first] = True
        spare &= ~np.isin(recording, self._recording[clips])
        return np.concatenate([shuffled[spare], shuffled[~spare]])


def _deal(layers: Numbers, rng: np.random.Generator) -> Numbers:
    """Assigns visits to random steps, so that each step gets one of each layer, and recordings are spread evenly.

    Args:
        layers: Recordings of the visits [per_step, steps], in whose order each recording's visits follow each other.
        rng: Random generator.

    Returns:
        Step of each visit [per_step, steps].
    """
    dealt = np.empty_like(layers)
    last, load = -1, np.zeros(layers.shape[1], np.int64)  # recording at the end of the previous layer, and its visits
    for layer, steps in zip(layers, dealt, strict=True):
        steps[:] = rng.permutation(len(steps))
        if continued := int(np.count_nonzero(layer == last)):
            steps[:] = steps[np.argsort(load[steps], kind="stable")]  # to the steps that have fewest of its visits
            steps[continued:] = rng.permutation(steps[continued:])
        if layer[-1] != last:
            last, load = layer[-1], np.zeros_like(load)
        load[steps[layer == last]] += 1
    return dealt
