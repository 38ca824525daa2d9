"""Motion of a scene's sources: slow, each within its own azimuth quadrant, with a minimum separation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUADRANT_MARGIN = np.radians(12)  # minimum distance from a quadrant's borders
MAX_ELEVATION = np.radians(35)
MIN_SEPARATION = np.radians(43)  # > half the diagonal of a 65° crop: a crop of one source excludes other centres


@dataclass(frozen=True)
class Track:
    """Sinusoidal motion about a direction; each attribute holds values for azimuth and elevation.

    Attributes:
        centre: Mean direction [2], radians.
        amplitude: Amplitudes [2], radians.
        rate: Angular frequencies [2], radians per second.
        phase: Phases [2], radians.
    """

    centre: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    rate: NDArray[np.float64]
    phase: NDArray[np.float64]

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the directions at some times.

        Args:
            times: [N], seconds.

        Returns:
            (azimuth, elevation) [N, 2], radians, with azimuth in [-π, π).
        """
        directions: NDArray[np.float64] = self.centre + self.amplitude * np.sin(self.rate * times[:, None] + self.phase)
        return directions


def unit_vectors(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Converts directions to unit vectors.

    Args:
        directions: Azimuth and elevation [..., 2], radians.

    Returns:
        x, y and z [..., 3].
    """
    azimuth, elevation = directions[..., 0], directions[..., 1]
    return np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    )


def draw_tracks(rng: np.random.Generator, number: int, seconds: float) -> list[Track]:
    """Draws random tracks, each in its own quadrant, until all keep MIN_SEPARATION.

    Args:
        rng: Random generator.
        number: Number of tracks, at most 4.
        seconds: Duration for which the separation is checked.

    Returns:
        The tracks.
    """
    times = np.arange(0, seconds, 0.1)
    while True:
        quadrants = rng.permutation(4)[:number]
        tracks = [_draw_track(rng, -np.pi + (quadrant + 0.5) * np.pi / 2) for quadrant in quadrants]
        vectors = unit_vectors(np.stack([track.at(times) for track in tracks], axis=1))  # [N, S, 3]
        cosines = vectors @ vectors.transpose(0, 2, 1)  # [N, S, S]
        cosines[:, np.arange(number), np.arange(number)] = -1
        if cosines.max() < np.cos(MIN_SEPARATION):
            return tracks


def _draw_track(rng: np.random.Generator, middle: float) -> Track:
    limits = np.array([np.pi / 4 - QUADRANT_MARGIN, MAX_ELEVATION])
    amplitude = np.radians(rng.uniform([4, 2], [14, 8]))
    speed = np.radians(rng.uniform([3, 1], [14, 5]))  # maximum speed, radians per second
    centre = np.array([middle, 0]) + rng.uniform(-1, 1, 2) * (limits - amplitude)
    return Track(centre, amplitude, speed / amplitude, rng.uniform(0, 2 * np.pi, 2))
