"""Augmentation that keeps sound and picture of a scene together, and the misalignment that AVSA's negatives have.

Mirroring and gain need nothing here: `flip` of `gnomonic` and `rotate` mirrors a crop and its sound, and its gain
is a factor (`Samples`).
"""

from math import pi

import numpy as np
import torch
from torch import Tensor

from avsa_fast import ops

LEAST_MISALIGNMENT = pi / 4  # radians: less is hard to tell from the truth


def random_columns(rng: np.random.Generator, width: int) -> int:
    """A yaw for `yaw_scene`, uniform over the columns of an ERP frame."""
    return int(rng.integers(width))


def yaw_scene(frames: Tensor, sound: Tensor, directions: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Turns a whole scene to the left (counter-clockwise from above) by 2π `columns` / W.

    frames: ERP [..., H, W, 3], shifted by whole columns, so that no pixel is interpolated and the angle is exact.
    sound: [C, T], ACN and SN3D of any order, turned by that angle. directions: [..., 2] of what is in the scene.
    """
    yaw = 2 * pi * columns / frames.shape[-2]
    return turn_frames(frames, columns), yaw_sound(sound, yaw), directions + directions.new_tensor([yaw, 0.0])


def turn_frames(frames: Tensor, columns: int) -> Tensor:
    """ERP frames [..., H, W, 3] with their content `columns` further left; azimuth falls to the right."""
    return torch.roll(frames, -columns, dims=-2)


def yaw_sound(sound: Tensor, yaw: float) -> Tensor:
    """A scene's sound [C, T] turned to the left by `yaw` radians."""
    dtype = torch.float64 if sound.dtype == torch.float64 else torch.float32
    return ops.rotate(sound, torch.tensor([[-yaw, 0.0]], dtype=dtype, device=sound.device))[0]


def random_misalignment(rng: np.random.Generator, count: int) -> Tensor:
    """Yaws [count] float32 by which the sound of AVSA-Bin's negatives is turned away from the picture.

    Uniform but within LEAST_MISALIGNMENT of none. Add them to the azimuth that the sound is turned to.
    """
    return torch.from_numpy(rng.uniform(LEAST_MISALIGNMENT, 2 * pi - LEAST_MISALIGNMENT, count)).float()
