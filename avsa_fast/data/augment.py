"""Augmentation that keeps sound and picture of a scene together, and the yaws by which AVSA-Bin misaligns them.

Mirroring and gain need nothing here: `flip` of `gnomonic` and `rotate` mirrors a crop and its sound, and its gain
is a factor (`Samples`).
"""

from math import pi

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops


def yaw_scene(frames: Tensor, sound: Tensor, directions: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Turns a whole scene to the left (counter-clockwise from above) by 2π `columns` / W.

    frames: ERP [..., H, W, 3], shifted by whole columns, so that no pixel is interpolated and the angle is exact.
    sound: [C, T], ACN and SN3D of any order, turned by that angle. directions: [..., 2] of what is in the scene.
    """
    yaw = 2 * pi * columns / frames.shape[-2]
    # Azimuth falls to the right: what moves to the left gets a higher one.
    turned = torch.roll(frames, -columns, dims=-2)
    return turned, _yaw_sound(sound, yaw), directions + directions.new_tensor([yaw, 0.0])


def random_yaws(rng: np.random.Generator, count: int) -> np.ndarray:
    """Yaws [count] float64, radians, uniform over the circle: by them AVSA-Bin turns the sound of unmatched pairs."""
    return rng.uniform(0, 2 * pi, count)


def _yaw_sound(sound: Tensor, yaw: float) -> Tensor:
    """A scene's sound [C, T] turned to the left by `yaw` radians."""
    dtype = torch.float64 if sound.dtype == torch.float64 else torch.float32
    return ops.rotate(sound, torch.tensor([[-yaw, 0.0]], dtype=dtype, device=sound.device))[0]
