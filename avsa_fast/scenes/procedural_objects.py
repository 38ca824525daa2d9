"""Procedural objects: eight classes, each with its own shape, texture and sound."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsa_fast.scenes import procedural_images as images
from avsa_fast.scenes import procedural_sounds as sounds
from avsa_fast.scenes.render import make_sprite
from avsa_fast.scenes.sound import RATE
from avsa_fast.scenes.source import Source, normalised


@dataclass(frozen=True)
class ObjectClass:
    """A class of procedural objects.

    Attributes:
        name: Name of the class.
        shape: Distance to the edge of points (x, y) in [-1, 1]², positive inside.
        texture: Texture value of points (x, y) for a phase.
        hue: Hue, in [0, 1].
        sound: Sound at times [T], in seconds, for a factor of all its frequencies.
    """

    name: str
    shape: Callable[[images.Plane, images.Plane], images.Plane]
    texture: Callable[[images.Plane, images.Plane, float], images.Plane]
    hue: float
    sound: Callable[[np.random.Generator, sounds.Signal, float], sounds.Signal]


CLASSES = (
    ObjectClass("disc", images.disc, images.checker, 0.0, sounds.hum),
    ObjectClass("square", images.square, images.diagonal, 0.08, sounds.thud),
    ObjectClass("star", images.star, images.plain, 0.16, sounds.siren),
    ObjectClass("triangle", images.triangle, images.dots, 0.33, sounds.bell),
    ObjectClass("ring", images.ring, images.spokes, 0.5, sounds.buzz),
    ObjectClass("cross", images.cross, images.bands, 0.6, sounds.chirp),
    ObjectClass("crescent", images.crescent, images.marble, 0.75, sounds.hiss),
    ObjectClass("lozenge", images.lozenge, images.columns, 0.88, sounds.rattle),
)
MIN_SIZE, MAX_SIZE = np.radians(25), np.radians(40)


def draw_sources(rng: np.random.Generator, number: int, samples: int, frame_height: int) -> list[Source]:
    """Draws sources of different classes at random.

    Args:
        rng: Random generator.
        number: Number of sources, at most `len(CLASSES)`.
        samples: Length of each sound.
        frame_height: Rows of the ERP frames.

    Returns:
        The sources.
    """
    classes = rng.choice(len(CLASSES), number, replace=False)
    return [_draw_source(rng, CLASSES[object_class], samples, frame_height) for object_class in classes]


def _draw_source(rng: np.random.Generator, object_class: ObjectClass, samples: int, frame_height: int) -> Source:
    size = rng.uniform(MIN_SIZE, MAX_SIZE)
    pitch = float((MIN_SIZE * MAX_SIZE) ** 0.5 / size) ** 0.35  # larger objects sound lower: ±9 %
    time = np.arange(samples) / RATE
    image = images.draw_object(rng, object_class.shape, object_class.texture, object_class.hue)
    signal: NDArray[np.float32] = object_class.sound(rng, time, pitch).astype(np.float32)
    return Source(object_class.name, make_sprite(image, size, frame_height), normalised(signal))
