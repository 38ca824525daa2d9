"""Images of procedural scenes: seamless panoramas, and objects with distinct shapes and textures."""

from collections.abc import Callable
from colorsys import hsv_to_rgb

import numpy as np
from numpy.typing import NDArray

from avsa_fast.scenes.motion import unit_vectors

Plane = NDArray[np.float64]
IMAGE_SIZE = 96  # width and height of an object's image, pixels


def draw_panorama(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Draws a random ERP panorama: a pale sky above a darker ground, textured by plane waves across the sphere.

    Args:
        rng: Random generator.
        height: Rows of the image.
        width: Columns of the image.

    Returns:
        uint8 RGB [height, width, 3].
    """
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    longitude = (0.5 - (np.arange(width) + 0.5) / width) * 2 * np.pi
    vectors = unit_vectors(np.stack(np.meshgrid(longitude, latitude), axis=-1))  # [H, W, 3]

    sky, ground = _colour(rng.uniform(), 0.2, 0.75), _colour(rng.uniform(), 0.3, 0.4)
    above = 1 / (1 + np.exp(-8 * vectors[..., 2:] - rng.normal(0, 0.5)))
    image = ground + (sky - ground) * above
    for wavenumber in (3, 4, 6, 9, 13, 19):
        axis = rng.standard_normal(3)
        wave = np.sin(vectors @ (axis / np.linalg.norm(axis)) * wavenumber + rng.uniform(0, 2 * np.pi))
        image += wave[..., None] * (rng.normal(0, 0.03) + rng.normal(0, 0.015, 3))
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def draw_object(
    rng: np.random.Generator,
    shape: Callable[[Plane, Plane], Plane],
    texture: Callable[[Plane, Plane, float], Plane],
    hue: float,
) -> NDArray[np.uint8]:
    """Draws the cut-out image of an object in two tones; its tilt, colours and the texture's phase are random.

    Args:
        rng: Random generator.
        shape: Distance to the edge of points (x, y), positive inside.
        texture: Texture value of points (x, y) for a phase.
        hue: Hue of the object, in [0, 1].

    Returns:
        uint8 RGBA [IMAGE_SIZE, IMAGE_SIZE, 4].
    """
    pixels = (np.arange(IMAGE_SIZE) + 0.5) / IMAGE_SIZE * 2 - 1
    x, y = np.meshgrid(pixels, -pixels)
    tilt = np.radians(rng.uniform(-15, 15))
    x, y = 1.1 * (x * np.cos(tilt) - y * np.sin(tilt)), 1.1 * (x * np.sin(tilt) + y * np.cos(tilt))

    hue += rng.normal(0, 0.02)
    light = _colour(hue, rng.uniform(0.25, 0.4), rng.uniform(0.9, 1.0))
    dark = _colour(hue + 0.04, rng.uniform(0.85, 1.0), rng.uniform(0.55, 0.7))
    weight = 1 / (1 + np.exp(-6 * texture(x, y, rng.uniform(0, 2 * np.pi))))
    colour = dark + (light - dark) * weight[..., None]

    depth = shape(x, y) * IMAGE_SIZE / 2.2  # in pixels, positive inside
    colour *= np.clip(depth / 3 - 0.6, 0.15, 1)[..., None]  # a dark rim
    alpha = np.clip(depth + 0.5, 0, 1)
    return (np.concatenate([colour, alpha[..., None]], axis=-1) * 255 + 0.5).astype(np.uint8)


def _colour(hue: float, saturation: float, value: float) -> Plane:
    return np.array(hsv_to_rgb(hue % 1, saturation, value))


# Shapes: functions of points x, y in [-1, 1]², of any shape, that return the approximate distance to the edge, positive
# inside.


def disc(x: Plane, y: Plane) -> Plane:
    """Distance to a disc's edge."""
    return 0.95 - np.hypot(x, y)


def square(x: Plane, y: Plane) -> Plane:
    """Distance to a square's edge."""
    return 0.78 - np.maximum(np.abs(x), np.abs(y))


def triangle(x: Plane, y: Plane) -> Plane:
    """Distance to an equilateral triangle's edge."""
    return 0.5 - np.maximum(np.abs(x) * 0.866 + (y + 0.15) * 0.5, -(y + 0.15))


def star(x: Plane, y: Plane) -> Plane:
    """Distance to the edge of a five-pointed star."""
    sector = np.abs((np.arctan2(x, y) * 5 / (2 * np.pi) + 0.5) % 1 - 0.5)  # 0 at a tip, ½ between two tips
    return (1 - 1.1 * sector - np.hypot(x, y)) * 0.7


def ring(x: Plane, y: Plane) -> Plane:
    """Distance to a ring's edge."""
    return 0.24 - np.abs(np.hypot(x, y) - 0.7)


def cross(x: Plane, y: Plane) -> Plane:
    """Distance to a cross's edge."""
    longer, shorter = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    return np.minimum(0.92 - longer, 0.27 - shorter)


def crescent(x: Plane, y: Plane) -> Plane:
    """Distance to a crescent's edge."""
    return np.minimum(0.95 - np.hypot(x, y), np.hypot(x - 0.45, y) - 0.65)


def lozenge(x: Plane, y: Plane) -> Plane:
    """Distance to a lozenge's edge."""
    return (0.95 - np.abs(x) - 2 * np.abs(y)) / 5**0.5


# Textures: functions of points x, y in [-1, 1]², of any shape, and of a phase in radians. They return values of about
# [-1, 1]; positive values are light.


def checker(x: Plane, y: Plane, phase: float) -> Plane:
    """Checkerboard."""
    return np.sign(np.sin(5 * x + phase) * np.sin(5 * y + phase))


def diagonal(x: Plane, y: Plane, phase: float) -> Plane:
    """Diagonal stripes."""
    return np.sin(7 * (x + y) + phase)


def dots(x: Plane, y: Plane, phase: float) -> Plane:
    """Grid of dots."""
    return np.sin(8 * x + phase) * np.sin(8 * y) * 2 - 0.7


def plain(x: Plane, y: Plane, phase: float) -> Plane:
    """Smooth radial gradient."""
    return 0.7 - np.hypot(x, y) + 0.1 * np.sin(phase)


def spokes(x: Plane, y: Plane, phase: float) -> Plane:
    """Radial spokes."""
    return np.sin(8 * np.arctan2(y, x) + phase)


def bands(x: Plane, y: Plane, phase: float) -> Plane:
    """Horizontal stripes."""
    return np.sin(9 * y + phase)


def marble(x: Plane, y: Plane, phase: float) -> Plane:
    """Wavy vertical stripes."""
    return np.sin(4 * x + 3 * np.sin(3 * y + phase) + phase)


def columns(x: Plane, y: Plane, phase: float) -> Plane:
    """Vertical stripes."""
    return np.sin(9 * x + phase)
