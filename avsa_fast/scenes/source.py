"""Sound sources of a scene."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsa_fast.scenes.render import Sprite
from avsa_fast.scenes.sound import root_mean_square


@dataclass(frozen=True)
class Source:
    """An object with its image and its sound.

    Attributes:
        label: Class.
        sprite: Image.
        signal: Sound [T] at RATE; the complete sound, of which this may be an excerpt, has RMS 1.
    """

    label: str
    sprite: Sprite
    signal: NDArray[np.float32]


def normalised(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales a signal [T], which must not be silent, to RMS 1."""
    return signal / np.float32(root_mean_square(signal))
