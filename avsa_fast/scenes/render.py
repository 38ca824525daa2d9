"""Rendering of cut-out images into equirectangular (ERP) frames, as seen by a camera at the centre of the sphere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Sprite:
    """A cut-out image on the plane that is tangent to the unit sphere at the image's centre.

    Attributes:
        texels: RGBA [h + 2, w + 2, 4] with premultiplied alpha, 0..255, and a transparent border of 1 pixel.
        half_extent: Half width and half height on the plane: tangents of half the angular sizes.
    """

    texels: NDArray[np.float32]
    half_extent: tuple[float, float]

    @property
    def angular_size(self) -> tuple[float, float]:
        """Angular width and height, in radians."""
        return 2 * float(np.arctan(self.half_extent[0])), 2 * float(np.arctan(self.half_extent[1]))


def make_sprite(image: NDArray[np.uint8], size: float, frame_height: int) -> Sprite:
    """Makes a sprite of an image's visible part, scaled down to the resolution of the frames to avoid aliasing.

    Args:
        image: uint8 RGBA [h, w, 4] with straight alpha, not all transparent.
        size: Angular size of the longer side of the visible part, radians.
        frame_height: Rows of the ERP frames.

    Returns:
        The sprite.
    """
    rows, columns = (np.flatnonzero(image[..., 3].any(axis=axis)) for axis in (1, 0))
    visible = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = visible.shape[:2]
    scale = np.tan(size / 2) / max(width, height)
    half_extent = (float(width * scale), float(height * scale))
    # The spacing of ERP rows on the tangent plane is smallest at its centre: π / H.
    needed = [int(np.ceil(2 * half * frame_height / np.pi)) for half in half_extent]
    resized = (min(needed[0], width), min(needed[1], height))
    # Pillow weights colours by alpha, and widens the filter when downscaling.
    rgba = np.asarray(Image.fromarray(visible).resize(resized, Image.Resampling.BILINEAR), np.float32)
    rgba = np.concatenate([rgba[..., :3] * (rgba[..., 3:] / 255), rgba[..., 3:]], axis=-1)
    return Sprite(np.pad(rgba, ((1, 1), (1, 1), (0, 0))), half_extent)


def draw_sprite(frames: NDArray[np.uint8], sprite: Sprite, directions: NDArray[np.float64]) -> None:
    """Draws a sprite into ERP frames in place, by inverse gnomonic projection with bilinear sampling.

    Only a window around the sprite is computed; it wraps at the seam and spans whole rows near a pole.

    Args:
        frames: uint8 RGB [N, H, W, 3], W even; modified in place.
        sprite: Sprite to draw.
        directions: Azimuth and elevation [N, 2] of the sprite's centre in each frame, radians.
    """
    height, width = frames.shape[1:3]
    azimuth, elevation = directions.T
    rows, columns = _window(sprite, azimuth, elevation, height, width)  # [N, h], [N, w]

    latitude = ((0.5 - (rows + 0.5) / height) * np.pi)[:, :, None].astype(np.float32)
    longitude = ((0.5 - (columns + 0.5) / width) * 2 * np.pi - azimuth[:, None])[:, None, :].astype(np.float32)
    tilt = elevation[:, None, None].astype(np.float32)
    level = np.cos(latitude) * np.cos(longitude)
    forward = level * np.cos(tilt) + np.sin(latitude) * np.sin(tilt)
    depth = np.maximum(forward, 1e-3)  # so that directions behind the camera fall far outside the sprite
    up = (np.sin(latitude) * np.cos(tilt) - level * np.sin(tilt)) / depth
    left = np.cos(latitude) * np.sin(longitude) / depth

    half_width, half_height = sprite.half_extent
    texture_height, texture_width = sprite.texels.shape[:2]
    y = (1 - up / half_height) / 2 * (texture_height - 2) + 0.5
    x = (1 - left / half_width) / 2 * (texture_width - 2) + 0.5
    frame, row, column = np.nonzero((y > 0) & (y < texture_height - 1) & (x > 0) & (x < texture_width - 1))
    colour = _bilinear(sprite.texels, y[frame, row, column], x[frame, row, column])  # [M, 4]
    pixels = (frame, rows[frame, row], columns[frame, column])
    frames[pixels] = (frames[pixels] * (1 - colour[:, 3:] / 255) + colour[:, :3] + 0.5).astype(np.uint8)


def _window(
    sprite: Sprite, azimuth: NDArray[np.float64], elevation: NDArray[np.float64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows [N, h] and columns [N, w] that cover the sprite in each frame, without repetition within a frame."""
    radius = np.arctan(np.hypot(*sprite.half_extent))
    top = np.floor((0.5 - (elevation + radius) / np.pi) * height - 0.5).astype(np.int64)
    bottom = np.ceil((0.5 - (elevation - radius) / np.pi) * height - 0.5).astype(np.int64)
    window_height = min(int((bottom - top).max()) + 1, height)
    rows = np.clip(top, 0, height - window_height)[:, None] + np.arange(window_height)

    polar = np.abs(elevation) + radius >= np.pi / 2
    reach = np.where(polar, np.pi, np.arcsin(np.minimum(np.sin(radius) / np.cos(elevation), 1)))
    window_width = min(2 * int(np.ceil(reach.max() * width / (2 * np.pi))) + 2, width)
    middle = np.floor((0.5 - azimuth / (2 * np.pi)) * width - 0.5).astype(np.int64)
    columns = (middle - window_width // 2 + 1)[:, None] + np.arange(window_width)
    return rows, columns % width


def _bilinear(texels: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolates an image [h, w, 4] at fractional indices y, x [M] inside it; returns [M, 4]."""
    row, column = y.astype(np.int64), x.astype(np.int64)
    down, right = (y - row)[:, None], (x - column)[:, None]
    width = texels.shape[1]
    flat = texels.reshape(-1, 4)
    corner = row * width + column
    above = flat[corner] * (1 - right) + flat[corner + 1] * right
    below = flat[corner + width] * (1 - right) + flat[corner + width + 1] * right
    return above * (1 - down) + below * down
