"""A measured room, rotated so that its direct sound comes from a chosen direction."""

from math import degrees
from pathlib import Path

import pytest
import torch
from helpers.room import direct_direction, measured_room
from torch import Tensor
from torchaudio.functional import fftconvolve

from avsa_fast import ops
from avsa_fast.spatial.harmonics import unit_vectors


def rotated_from_front(scene: Tensor, direction: Tensor) -> Tensor:
    """Rotates the front to a direction [1, 2]."""
    azimuth, elevation = direction[0]
    zero = torch.zeros_like(azimuth)
    up = ops.rotate(scene, torch.stack([zero, -elevation])[None])[0]
    return ops.rotate(up, torch.stack([-azimuth, zero])[None])[0]


@pytest.mark.parametrize("chosen", [(0.0, 0.0), (2.0, 0.5), (-2.9, -1.2)])
def test_sound_in_the_room_comes_from_the_chosen_direction(assets: Path, chosen: tuple[float, float]) -> None:
    response, rate = measured_room(assets)
    direction = torch.tensor([chosen], dtype=torch.float64)
    response = rotated_from_front(ops.rotate(response, direct_direction(response, rate))[0], direction)
    click = torch.zeros(1, 100, dtype=torch.float64)
    click[0, 30] = 1
    generator = torch.Generator().manual_seed(0)
    burst = torch.randn(1, rate // 100, dtype=torch.float64, generator=generator)
    for sound in (click, burst):
        heard = direct_direction(fftconvolve(response, sound.expand(4, -1)), rate)
        cosine = (unit_vectors(heard) * unit_vectors(direction)).sum().clamp(-1, 1)
        assert degrees(cosine.arccos()) < 1
