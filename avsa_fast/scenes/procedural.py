"""Procedural objects: eight kinds, each with its own shape, texture and sound."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsa_fast.scenes import looks, voices
from avsa_fast.scenes.render import make_sprite
from avsa_fast.scenes.source import Source, normalised
from avsa_fast.scenes.write import RATE


@dataclass(frozen=True)
class Kind:
    """A class of procedural objects."""

    name: str
    shape: Callable[[looks.Plane, looks.Plane], looks.Plane]
    texture: Callable[[looks.Plane, looks.Plane, float], looks.Plane]
    hue: float
    voice: Callable[[np.random.Generator, voices.Signal, float], voices.Signal]


KINDS = (
    Kind("disc", looks.disc, looks.checker, 0.0, voices.hum),
    Kind("square", looks.square, looks.diagonal, 0.08, voices.thud),
    Kind("star", looks.star, looks.plain, 0.16, voices.siren),
    Kind("triangle", looks.triangle, looks.dots, 0.33, voices.bell),
    Kind("ring", looks.ring, looks.spokes, 0.5, voices.buzz),
    Kind("cross", looks.cross, looks.bands, 0.6, voices.chirp),
    Kind("crescent", looks.crescent, looks.marble, 0.75, voices.hiss),
    Kind("lozenge", looks.lozenge, looks.columns, 0.88, voices.rattle),
)
MIN_SIZE, MAX_SIZE = np.radians(25), np.radians(40)


def draw_sources(rng: np.random.Generator, number: int, samples: int, frame_height: int) -> list[Source]:
    """Draws sources of different kinds at random.

    Args:
        rng: Random generator.
        number: Number of sources, at most `len(KINDS)`.
        samples: Length of each sound.
        frame_height: Rows of the ERP frames.
    """
    kinds = rng.choice(len(KINDS), number, replace=False)
    return [_draw_source(rng, KINDS[kind], samples, frame_height) for kind in kinds]


def _draw_source(rng: np.random.Generator, kind: Kind, samples: int, frame_height: int) -> Source:
    size = rng.uniform(MIN_SIZE, MAX_SIZE)
    pitch = float((MIN_SIZE * MAX_SIZE) ** 0.5 / size) ** 0.35  # larger objects sound lower: ±9 %
    time = np.arange(samples) / RATE
    picture = looks.draw(rng, kind.shape, kind.texture, kind.hue)
    signal: NDArray[np.float32] = kind.voice(rng, time, pitch).astype(np.float32)
    return Source(kind.name, make_sprite(picture, size, frame_height), normalised(signal))
