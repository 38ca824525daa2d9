"""Augmentation keeps frames and sound consistent."""

from math import pi

import numpy as np
import torch

from avsa_fast import ops
from avsa_fast.data.augment import random_yaws, yaw_scene
from avsa_fast.spatial.harmonics import unit_vectors


def test_yaw_rotates_frames_sound_and_directions_together() -> None:
    H, W = 64, 128
    azimuth, elevation = (0.5 - (torch.arange(W) + 0.5) / W) * 2 * pi, (0.5 - (torch.arange(H) + 0.5) / H) * pi
    grid = torch.stack(torch.meshgrid(azimuth, elevation, indexing="xy"), dim=-1)
    frames = unit_vectors(grid)[None]  # each pixel's direction
    source = torch.tensor([[0.4, 0.2]])
    sound = ops.encode(torch.randn(1, 50), source, 2)
    for columns in (0, 5, int(torch.randint(W, ()))):
        rotated, rotated_sound, directions = yaw_scene(frames, sound, source, columns)
        torch.testing.assert_close(directions, source + torch.tensor([2 * pi * columns / W, 0]))
        torch.testing.assert_close(ops.rotate(rotated_sound, directions), ops.rotate(sound, source), rtol=0, atol=2e-6)
        crops = [
            ops.gnomonic(image[None], direction[None], 1.0, (9, 9), antialias=False)
            for image, direction in ((frames, source), (rotated, directions))
        ]
        torch.testing.assert_close(crops[0], crops[1], rtol=0, atol=1e-4)


def test_random_yaws_are_uniform_and_rotate_the_sound() -> None:
    yaws = torch.from_numpy(random_yaws(np.random.default_rng(0), 1000)).float()
    assert 0 <= float(yaws.min()) < 0.1
    assert 6.2 < float(yaws.max()) <= 2 * pi
    assert abs(float(yaws.cos().mean())) < 0.1  # covers the full circle
    source = torch.tensor([[0.4, 0.0]])
    sound = ops.encode(torch.ones(1, 1), source)
    w, _, _, x = ops.rotate(sound, source + torch.stack([yaws[:1], torch.zeros(1)], dim=-1))[0, :, 0]
    torch.testing.assert_close(x / w, yaws[0].cos())
