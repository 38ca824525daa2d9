"""Made first-order scenes: moving plane waves over diffuse noise."""

from math import pi

import torch
from torch import Tensor

from avsa_fast.spatial.harmonics import unit_vectors

RATE = 16000


def bursts(seconds: int, generator: torch.Generator, rate: int = RATE) -> Tensor:
    """Noise [T] whose loudness changes by up to 20 dB ten times a second."""
    levels = 10 ** (-torch.rand(10 * seconds, generator=generator)).repeat_interleave(rate // 10)
    return levels * torch.randn(seconds * rate, generator=generator)


def encoded(signal: Tensor, azimuths: Tensor, elevations: Tensor) -> Tensor:
    """A plane wave [4, T] (W, Y, Z, X) from directions [T] in radians."""
    x, y, z = unit_vectors(torch.stack([azimuths, elevations], dim=-1)).unbind(-1)
    return signal * torch.stack([torch.ones_like(y), y, z, x])


def walk(seconds: int = 8, seed: int = 0, turn: float = 2 * pi, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """A source that walks around, once by default, slightly above and below the horizon, over diffuse noise.

    Returns:
        W, Y, Z, X [4, T] at RATE, and the azimuth [T] in radians.
    """
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 1, seconds * RATE)
    azimuths = (turn * time + 2 * pi * torch.rand(1, generator=generator)) % (2 * pi) - pi
    scene = encoded(bursts(seconds, generator), azimuths, 0.4 * torch.sin(9 * time))
    diffuse = torch.randn(scene.shape, generator=generator) * torch.tensor([1, 3**-0.5, 3**-0.5, 3**-0.5])[:, None]
    return 0.1 * (scene + noise * diffuse), azimuths


def capsules(scene: Tensor, omni: float = 0.5) -> Tensor:
    """What four capsules of a tetrahedral microphone record [4, T] of a scene; 0.5: cardioids."""
    axes = torch.tensor([[1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]]) / 3**0.5  # y, z, x
    return omni * scene[0] + (1 - omni) * axes @ scene[1:]


def syllables(seconds: int, seed: int = 0) -> Tensor:
    """Noise [T] at RATE that is loud and soft four times a second, with a pause of a second after each two."""
    time = torch.arange(seconds * RATE) / RATE
    level = torch.sin(4 * pi * time).square() * (time % 3 < 2)
    return level * torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
