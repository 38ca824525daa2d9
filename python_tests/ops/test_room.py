"""A measured room, turned so that its direct sound comes from a chosen direction."""

from math import degrees
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor
from torchaudio.functional import fftconvolve

from avsa_fast import ops
from avsa_fast.ambisonics import from_n3d
from avsa_fast.reference.harmonics import unit_vectors


def direct_direction(scene: Tensor, rate: int) -> Tensor:
    """Of the intensity in the 2 ms from the direct peak of W: [1, 2]."""
    loud = scene[0].abs()
    peak = int((loud > 0.5 * loud.max()).nonzero()[0])  # the first strong one, and its top
    peak += int(loud[peak : peak + rate // 1000].argmax())
    w, y, z, x = scene[:, peak : peak + round(0.002 * rate)]
    x, y, z = (w * x).sum(), (w * y).sum(), (w * z).sum()
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))])[None]


def turned_from_front(scene: Tensor, direction: Tensor) -> Tensor:
    """What is in front comes from a direction [1, 2]."""
    azimuth, elevation = direction[0]
    zero = torch.zeros_like(azimuth)
    up = ops.rotate(scene, torch.stack([zero, -elevation])[None])[0]
    return ops.rotate(up, torch.stack([-azimuth, zero])[None])[0]


@pytest.mark.parametrize("chosen", [(0.0, 0.0), (2.0, 0.5), (-2.9, -1.2)])
def test_sound_in_the_room_comes_from_the_chosen_direction(assets: Path, chosen: tuple[float, float]) -> None:
    samples, rate = soundfile.read(assets / "rir" / "gewandhaus_foa_acn_n3d.wav", dtype="float64", always_2d=True)
    response = from_n3d(torch.from_numpy(samples.T.copy()))
    direction = torch.tensor([chosen], dtype=torch.float64)
    response = turned_from_front(ops.rotate(response, direct_direction(response, rate))[0], direction)
    click = torch.zeros(1, 100, dtype=torch.float64)
    click[0, 30] = 1
    generator = torch.Generator().manual_seed(0)
    burst = torch.randn(1, rate // 100, dtype=torch.float64, generator=generator)
    for sound in (click, burst):
        heard = direct_direction(fftconvolve(response, sound.expand(4, -1)), rate)
        cosine = (unit_vectors(heard) * unit_vectors(direction)).sum().clamp(-1, 1)
        assert degrees(cosine.arccos()) < 1
