from math import cos, inf, pi, sin, sqrt
from pathlib import Path

import pytest
import torch

from avsa_fast.data.channels import read_ambisonic
from avsa_fast.data.validity import spatial_validity

RATE = 48000


def plane_wave(low: float = 0, high: float = 4000) -> torch.Tensor:
    """Noise between two frequencies from a random direction, [4, T]."""
    azimuth, elevation = (2 * torch.rand(2) - 1).mul(torch.tensor([pi, pi / 2])).tolist()
    spectrum = torch.fft.rfft(torch.randn(RATE))
    spectrum[: int(low)] = 0
    spectrum[int(high) :] = 0
    gains = [1, sin(azimuth) * cos(elevation), sin(elevation), cos(azimuth) * cos(elevation)]
    return torch.tensor(gains)[:, None] * torch.fft.irfft(spectrum)


def test_known_fields() -> None:
    wave = plane_wave()
    assert spatial_validity(wave, RATE) == pytest.approx(1, abs=1e-4)
    assert spatial_validity(wave * torch.tensor([1, sqrt(3), sqrt(3), sqrt(3)])[:, None], RATE) == pytest.approx(
        3, abs=1e-3
    )
    assert spatial_validity(wave * torch.tensor([1 / sqrt(2), 1, 1, 1])[:, None], RATE) == pytest.approx(2, abs=1e-3)
    assert spatial_validity(wave * torch.tensor([1, 0, 0, 0])[:, None], RATE) == 0
    assert spatial_validity(wave * torch.tensor([0, 1, 1, 1])[:, None], RATE) == inf


def test_silence_has_none() -> None:
    assert spatial_validity(torch.zeros(4, RATE), RATE) is None
    assert spatial_validity(1e-6 * torch.randn(4, RATE), RATE) is None
    assert spatial_validity(1e-3 * plane_wave(), RATE) == pytest.approx(1, abs=1e-4)


def test_only_what_is_below_4_khz_counts() -> None:
    wave, above = plane_wave(), plane_wave(low=4200, high=20000)
    above[0] = 0
    assert spatial_validity(wave + 10 * above, RATE) == pytest.approx(1, abs=1e-2)


def test_the_real_clip(assets: Path) -> None:
    scene = read_ambisonic(assets / "video" / "kqAZkf5Odyw-80.m4a", [2, 1, 4, 0], 5.0, 10.0, RATE)
    assert spatial_validity(scene, RATE) == pytest.approx(0.79, abs=0.005)
