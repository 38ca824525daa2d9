"""Colour maps for values from 0 to 1: matplotlib's inferno and viridis (CC0), sampled at nine points."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Colours = Literal["inferno", "viridis"]

STOPS: dict[Colours, tuple[str, ...]] = {
    "inferno": ("000004", "210c4a", "57106e", "8a226a", "bc3754", "e45a31", "f98e09", "f9cb35", "fcffa4"),
    "viridis": ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"),
}


def coloured(values: NDArray[np.float32], colours: Colours) -> NDArray[np.float64]:
    """Colours values, interpolating between a colour map's stops.

    Args:
        values: Any shape, in [0, 1].
        colours: Name of the colour map.

    Returns:
        [..., 3], RGB from 0 to 255.
    """
    stops = np.array([[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in STOPS[colours]])
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(values, places, stops[:, channel]) for channel in range(3)], axis=-1)
