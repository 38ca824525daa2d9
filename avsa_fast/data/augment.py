"""Joint yaw rotation of a scene's frames and sound, and random yaws for the misaligned pairs of AVSA-Bin.

Other augmentation is applied elsewhere: `flip` of `gnomonic` and `rotate` mirrors a crop and its sound, and `Samples`
scales the sound.
"""

from math import pi

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops


def yaw_scene(frames: Tensor, sound: Tensor, directions: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rotates a whole scene to the left (counter-clockwise seen from above) by 2π `columns` / W.

    Args:
        frames: ERP [..., H, W, 3]. They are shifted by whole columns, so no interpolation is needed.
        sound: [C, T], ACN and SN3D of any order.
        directions: [..., 2], azimuth and elevation of objects in the scene, radians.
        columns: Number of columns to shift by.

    Returns:
        Rotated frames, sound and directions. Azimuths are not wrapped.
    """
    yaw = 2 * pi * columns / frames.shape[-2]
    # Azimuth decreases to the right, so moving content to the left increases it.
    rotated = torch.roll(frames, -columns, dims=-2)
    return rotated, _yaw_sound(sound, yaw), directions + directions.new_tensor([yaw, 0.0])


def random_yaws(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draws the random yaws by which AVSA-Bin rotates the sound of misaligned pairs.

    Args:
        rng: Random generator.
        count: Number of yaws.

    Returns:
        float64 [count], radians, uniform in [0, 2π).
    """
    return rng.uniform(0, 2 * pi, count)


def _yaw_sound(sound: Tensor, yaw: float) -> Tensor:
    """Rotates a scene's sound [C, T] to the left by `yaw` radians."""
    dtype = torch.float64 if sound.dtype == torch.float64 else torch.float32
    return ops.rotate(sound, torch.tensor([[-yaw, 0.0]], dtype=dtype, device=sound.device))[0]
