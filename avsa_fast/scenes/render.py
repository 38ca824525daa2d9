"""Pictures on a sphere: a cut-out placed on equirectangular (ERP) frames, as a camera at the centre would see it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Sprite:
    """A cut-out picture on the plane that touches the unit sphere at the picture's centre."""

    texels: NDArray[np.float32]  # [h + 2, w + 2, 4] RGBA, 0..255, colour multiplied by alpha, a transparent border around
    half_extent: tuple[float, float]  # half width and half height on the plane: tangents of half the angular sizes

    @property
    def angular_size(self) -> tuple[float, float]:
        """Angular width and height in radians."""
        return 2 * float(np.arctan(self.half_extent[0])), 2 * float(np.arctan(self.half_extent[1]))


def make_sprite(picture: NDArray[np.uint8], size: float, frame_height: int) -> Sprite:
    """A sprite whose longer side spans `size` radians, brought down to the frames' resolution so that it cannot alias.

    picture [h, w, 4] RGBA, alpha not multiplied in; frame_height the rows of the ERP frames.
    """
    height, width = picture.shape[:2]
    scale = np.tan(size / 2) / max(width, height)
    half_extent = (float(width * scale), float(height * scale))
    # The pitch of ERP rows on the tangent plane is finest at its centre: π / H.
    wanted = [max(1, int(np.ceil(2 * half * frame_height / np.pi))) for half in half_extent]
    resized = (min(wanted[0], width), min(wanted[1], height))
    # Pillow weighs colours by alpha and widens the filter when it shrinks.
    rgba = np.asarray(Image.fromarray(picture).resize(resized, Image.Resampling.BILINEAR), np.float32)
    rgba = np.concatenate([rgba[..., :3] * (rgba[..., 3:] / 255), rgba[..., 3:]], axis=-1)
    return Sprite(np.pad(rgba, ((1, 1), (1, 1), (0, 0))), half_extent)


def place(frames: NDArray[np.uint8], sprite: Sprite, directions: NDArray[np.float64]) -> None:
    """Draws a sprite into ERP frames, in place: the inverse of the gnomonic projection, bilinear.

    frames [N, H, W, 3], W even; directions [N, 2] azimuth and elevation of the sprite's centre in each frame, radians.
    Only a window around the sprite is touched; it wraps at the seam and spans the whole row near a pole.
    """
    height, width = frames.shape[1:3]
    azimuth, elevation = directions.T
    rows, columns = _window(sprite, azimuth, elevation, height, width)  # [N, h], [N, w]

    latitude = ((0.5 - (rows + 0.5) / height) * np.pi)[:, :, None]
    longitude = ((0.5 - (columns + 0.5) / width) * 2 * np.pi - azimuth[:, None])[:, None, :]
    tilt = elevation[:, None, None]
    level = np.cos(latitude) * np.cos(longitude)
    forward = level * np.cos(tilt) + np.sin(latitude) * np.sin(tilt)
    upward = np.sin(latitude) * np.cos(tilt) - level * np.sin(tilt)
    leftward = np.cos(latitude) * np.sin(longitude)

    depth = np.maximum(forward, 1e-3)  # directions behind the plane land far outside the picture
    half_width, half_height = sprite.half_extent
    colours = _bilinear(sprite.texels, -upward / depth / half_height, -leftward / depth / half_width)  # [N, h, w, 4]

    window = (np.arange(len(frames))[:, None, None], rows[:, :, None], columns[:, None, :])
    behind = frames[window] * (1 - colours[..., 3:] / 255)
    frames[window] = (behind + colours[..., :3] + 0.5).astype(np.uint8)


def _window(
    sprite: Sprite, azimuth: NDArray[np.float64], elevation: NDArray[np.float64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows [N, h] and columns [N, w] that hold the sprite in every frame, without repetition within a frame."""
    radius = np.arctan(np.hypot(*sprite.half_extent))
    top = np.floor((0.5 - (elevation + radius) / np.pi) * height - 0.5).astype(np.int64)
    bottom = np.ceil((0.5 - (elevation - radius) / np.pi) * height - 0.5).astype(np.int64)
    tall = min(int((bottom - top).max()) + 1, height)
    rows = np.clip(top, 0, height - tall)[:, None] + np.arange(tall)

    polar = np.abs(elevation) + radius >= np.pi / 2
    reach = np.where(polar, np.pi, np.arcsin(np.minimum(np.sin(radius) / np.cos(elevation), 1)))
    wide = min(2 * int(np.ceil(reach.max() * width / (2 * np.pi))) + 2, width)
    middle = np.floor((0.5 - azimuth / (2 * np.pi)) * width - 0.5).astype(np.int64)
    columns = (middle - wide // 2 + 1)[:, None] + np.arange(wide)
    return rows, columns % width


def _bilinear(
    texels: NDArray[np.float32], down: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Values of a bordered picture at coordinates [...] where -1 and 1 are the picture's edges: [..., 4]."""
    height, width = texels.shape[:2]
    y = np.clip((down + 1) / 2 * (height - 2) + 0.5, 0, height - 1 - 1e-6)
    x = np.clip((right + 1) / 2 * (width - 2) + 0.5, 0, width - 1 - 1e-6)
    row, column = y.astype(np.int64), x.astype(np.int64)
    lower = (y - row).astype(np.float32)[..., None]
    later = (x - column).astype(np.float32)[..., None]
    flat = texels.reshape(-1, 4)
    corner = row * width + column
    above = flat[corner] * (1 - later) + flat[corner + 1] * later
    below = flat[corner + width] * (1 - later) + flat[corner + width + 1] * later
    return above * (1 - lower) + below * lower
