"""A 360° clip with four moving discs, of which only the magenta one sounds, and its detections."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from avsa_fast import ops
from avsa_fast.data.encode_video import FPS, write_video
from avsa_fast.data.tables import DETECTIONS, write_table
from avsa_fast.maps.grid import angular_distance, erp_grid

HEIGHT, RATE = 160, 24000
RADIUS = 7.0  # degrees
MAGENTA = (230, 20, 230)
COLOURS = (MAGENTA, (20, 200, 40), (40, 60, 220), (220, 200, 30))
DETECTIONS_PER_SECOND = 4
# Azimuth and elevation at the start, degrees, and degrees per second. The first disc crosses the seam behind.
MOTION = ((160.0, 5.0, 14.0), (60.0, -10.0, -6.0), (-40.0, 12.0, 5.0), (-120.0, 0.0, 6.0))


@dataclass(frozen=True)
class Clip:
    """A made clip: its video, and the number of seconds. The sound is in audio/ of its dataset folder."""

    video: Path
    seconds: float

    def azimuth_elevation(self, times: NDArray[np.float64], disc: int = 0) -> NDArray[np.float64]:
        """Directions [n, 2] of a disc, radians."""
        return directions(times, disc)


def directions(times: NDArray[np.float64], disc: int) -> NDArray[np.float64]:
    azimuth, elevation, speed = MOTION[disc]
    turned = np.radians(azimuth + speed * times)
    return np.stack([(turned + np.pi) % (2 * np.pi) - np.pi, np.full_like(turned, np.radians(elevation))], axis=1)


def make_clip(folder: Path, seconds: float, *, height: int = HEIGHT, noise: float = 0.02) -> Clip:
    """Writes the clip as a dataset folder: video/disc-0.mp4, audio/disc-0.flac and detections.parquet."""
    for name in ("video", "audio"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    times = np.arange(round(seconds * FPS)) / FPS
    paths = [directions(times, disc) for disc in range(len(MOTION))]
    grid = erp_grid((height, 2 * height))
    azimuth, elevation = grid.numpy().T.swapaxes(1, 2)
    waves = 20 * np.sin(6 * elevation + 2 * azimuth) + 15 * np.cos(11 * elevation - 3 * azimuth)  # continue at the seam
    background = (90 + waves)[..., None].repeat(3, axis=2).astype(np.uint8)

    def frames() -> Iterator[NDArray[np.uint8]]:  # one at a time: a child's peak memory begins with its parent's
        for number in range(len(times)):
            image = background.copy()
            for path, colour in zip(paths, COLOURS, strict=True):
                place = torch.from_numpy(path[number]).float()
                image[(angular_distance(grid, place) < RADIUS).numpy()] = colour
            yield image

    write_video(folder / "video" / "disc-0.mp4", frames())
    samples = round(seconds * RATE)
    signal = torch.from_numpy(rng.normal(0, 0.1, (1, samples))).float()
    path = torch.from_numpy(directions(np.arange(0, seconds + 0.01, 0.1), 0)).float()
    sound = ops.encode(signal, path[None]).numpy() + rng.normal(0, 0.1 * noise, (4, samples))
    soundfile.write(folder / "audio" / "disc-0.flac", sound.T, RATE)
    rows = [
        {"name": "disc-0", "time": time, "azimuth": azimuth, "elevation": elevation, "width": np.radians(2 * RADIUS),
         "height": np.radians(2 * RADIUS), "class": "disc", "score": 0.9 - 0.1 * disc, "track": disc}
        for time in np.arange(0, seconds, 1 / DETECTIONS_PER_SECOND)
        for disc in range(len(MOTION))
        for azimuth, elevation in directions(np.array([time]), disc)
    ]  # fmt: skip
    write_table(folder / "detections.parquet", rows, DETECTIONS)
    return Clip(folder / "video" / "disc-0.mp4", seconds)
