"""The acoustic intensity map peaks in the direction of the source."""

from math import degrees, radians
from pathlib import Path

import numpy as np
import pytest
import torch

from avsa_fast import ops
from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.maps import intensity_map
from avsa_fast.maps.grid import angular_distance, peak_direction
from avsa_fast.scenes.recorded_material import Objects
from avsa_fast.scenes.sound import diffuse_noise, encode, read_room

RATE = 24_000
LIMIT = 15.0  # degrees


def angle(first: tuple[float, float], second: tuple[float, float]) -> float:
    """The angle between two directions (azimuth and elevation in radians), in degrees."""
    return angular_distance(torch.tensor(first), torch.tensor(second)).item()


@pytest.mark.parametrize("direction", [(0.0, 0.0), (3.1, 0.2), (-1.5, -0.9), (0.7, 1.4)])
def test_peak_of_a_plane_wave(direction: tuple[float, float]) -> None:
    noise = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    scene = ops.encode(noise, torch.tensor([direction]))
    heat = intensity_map(scene, RATE)
    assert heat.shape == (45, 90)
    assert heat.max() == 1
    assert angle(peak_direction(heat), direction) < 4.0  # a cell is 4 degrees wide


def test_silence_gives_zeros() -> None:
    assert intensity_map(torch.zeros(4, RATE), RATE).abs().max() == 0


@pytest.mark.parametrize("room", ["free field", "hall"])
def test_real_object_is_within_15_degrees(assets: Path, room: str) -> None:
    """Sounds of real objects with diffuse noise at -20 dB, in a free field and in a measured concert hall."""
    objects = Objects(assets / "objects")
    record = encode if room == "free field" else read_room(assets / "rir" / "gewandhaus_foa_acn_n3d.wav").record
    for seed in range(12):
        rng = np.random.default_rng(seed)
        (source,) = objects.draw(rng, 1, 2 * RATE, 128)
        direction = (rng.uniform(-np.pi, np.pi), rng.uniform(-0.5, 0.5))
        sound = record(source.signal, np.repeat([direction], 2 * RATE, axis=0)) + diffuse_noise(rng, 2 * RATE, 0.1)
        heat = intensity_map(torch.from_numpy(sound[:, RATE:].astype(np.float32)), RATE)
        assert angle(peak_direction(heat), direction) < LIMIT, (seed, source.label)


def test_real_clip_peaks_at_the_musicians(assets: Path) -> None:
    """The real YT-360 clip has four musicians playing at once; their positions are read off its frames.

    Around 5 s the drums are loudest; over all ten seconds the guitar amplifiers are. Only azimuth is checked for them:
    the recording's elevation is not reliable, as its spatial validity of 0.79 indicates.
    """
    drums, amplifiers = (radians(167), radians(-20)), radians(-24)
    reader = MediaReader(describe(None, assets / "video" / "kqAZkf5Odyw-80.m4a"))
    beat = reader.scene(5.0, 1.0, RATE)
    assert angle(peak_direction(intensity_map(beat, RATE)), drums) < LIMIT
    everything = reader.scene(5.0, 10.0, RATE)
    assert abs(degrees(peak_direction(intensity_map(everything, RATE))[0] - amplifiers)) < LIMIT
